"""What the calibration data does inside the FP32 network, gathered in one pass."""
