"""What machine this is: CPU, instruction sets, governor, temperature, load. Everything that cannot be read is None."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Thirty ticks of 10 ms on every core: long enough to see another process, short beside any measurement.
WATCH_S = 0.3

# Ten ticks: over less, a single one weighs a tenth of a core.
SHORTEST_S = 0.1

CPUINFO = Path("/proc/cpuinfo")
STAT = Path("/proc/stat")
ARM_PARTS = {"0xd03": "Cortex-A53", "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd42": "Cortex-A78AE"}


def read_text(path: Path) -> str | None:
    """A small system file without its trailing blanks and NULs, or None when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n\t ")
    except OSError:
        return None


def architecture() -> str:
    """`x86_64` or `aarch64`, also where the system spells them otherwise."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def cpuinfo_field(*names: str) -> str | None:
    """The first line of /proc/cpuinfo with one of these names, or None."""
    for line in (read_text(CPUINFO) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names:
            return value.strip()
    return None


def cpu_flags() -> list[str]:
    """Instruction sets as the kernel names them, sorted; empty when the kernel does not tell."""
    return sorted(set((cpuinfo_field("flags", "Features") or "").split()))


def cpu_model() -> str | None:
    """The CPU's name; on Arm the core's, from its part number."""
    name = cpuinfo_field("model name", "Model Name")
    part = cpuinfo_field("CPU part")
    return name or (ARM_PARTS.get(part, "Arm part " + part) if part else None)


def device_tree_model() -> str | None:
    """The board's name on machines with a device tree, e.g. `Raspberry Pi 5 Model B Rev 1.0`."""
    return read_text(Path("/proc/device-tree/model"))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Main memory that the kernel manages."""
    for line in (read_text(Path("/proc/meminfo")) or "").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def governor() -> str | None:
    """The frequency governors in use, e.g. `schedutil`; None on machines without frequency control (virtual ones)."""
    found = {read_text(path) for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(name for name in found if name)) or None


def temperature_c() -> float | None:
    """The hottest thermal zone, in degrees Celsius."""
    found = [read_text(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    values = [int(text) / 1000 for text in found if text and text.lstrip("-").isdigit()]
    return max(values) if values else None


def throttled() -> str | None:
    """A Raspberry Pi's throttling word in hexadecimal (`0`: never); None elsewhere."""
    return read_text(Path("/sys/devices/platform/soc/soc:firmware/get_throttled"))


def power_mode() -> str | None:
    """A Jetson's nvpmodel status, e.g. `pmode:0001`; None elsewhere."""
    return read_text(Path("/var/lib/nvpmodel/status"))


@dataclass(frozen=True)
class CpuTime:
    """One look at the clocks, in seconds: `busy_s` summed over all cores and processes, `own_s` of this process."""

    wall_s: float
    busy_s: float
    own_s: float


def cpu_time() -> CpuTime | None:
    """The clocks now; None where the kernel does not tell."""
    for line in (read_text(STAT) or "").splitlines():
        if line.startswith("cpu "):
            ticks = [int(text) for text in line.split()[1:9]]  # user nice system idle iowait irq softirq steal
            busy_s = (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
            return CpuTime(time.monotonic(), busy_s, time.process_time()) if any(ticks) else None
    return None


def others(before: CpuTime | None, after: CpuTime | None) -> dict[str, Any]:
    """Cores that everything but this process kept busy between two looks, on average.

    `(busy_after - busy_before - own CPU time) / wall time`. Other processes, the kernel's interrupts, and what a
    hypervisor gave to other machines (steal) all count: each of them slows a timing.

    Returns:
        `others_busy_cores`, or None with `others_busy_reason`.
    """
    if before is None or after is None:
        return {"others_busy_cores": None, "others_busy_reason": f"the kernel tells no CPU times in {STAT}"}
    wall_s = after.wall_s - before.wall_s
    if wall_s < SHORTEST_S:
        reason = (
            f"timed for {wall_s * 1e3:.0f} ms; the kernel counts CPU time too coarsely below {SHORTEST_S * 1e3:.0f}"
        )
        return {"others_busy_cores": None, "others_busy_reason": reason}
    used_s = after.busy_s - before.busy_s - (after.own_s - before.own_s)
    # Ticks are rounded, this process's time is not: on a quiet machine the difference may be just below nothing.
    return {"others_busy_cores": max(0.0, used_s / wall_s), "others_busy_reason": None}


def busy_cores() -> float | None:
    """Cores that others keep busy while this process sleeps for a moment; None where the kernel does not tell.

    Not the load average: that remembers the minute before, which is often the training that made the artifact.
    """
    before = cpu_time()
    time.sleep(WATCH_S)
    return others(before, cpu_time())["others_busy_cores"]


def steady_facts() -> dict[str, Any]:
    """What does not change while the machine is up."""
    return {
        "cpu": cpu_model(),
        "board": device_tree_model(),
        "architecture": architecture(),
        "instruction_sets": cpu_flags(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "os": platform.platform(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def momentary_facts() -> dict[str, Any]:
    """What can disturb a timing."""
    return {
        "governor": governor(),
        "temperature_c": temperature_c(),
        "throttled": throttled(),
        "power_mode": power_mode(),
        "busy_cores": busy_cores(),
    }
