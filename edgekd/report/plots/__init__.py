"""Figures as SVG text. Colours are CSS classes of the page, so that one figure serves the light and the dark theme."""
