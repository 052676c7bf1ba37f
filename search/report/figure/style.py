"""The colours and the size of the picture."""

WIDTH_PX, HEIGHT_PX, DPI = 1600, 1000, 160
# Okabe and Ito 2008, "Color universal design": told apart with any colour vision.
FRONT, KNEE, FP32, EIGHT_BIT, FAINT, INK = "#0072B2", "#D55E00", "#000000", "#009E73", "#8C8C8C", "#333333"
RECOVERED = "#8C3F86"
