"""What a camera sees: scan conversion, light and shadow, then the lens and the sensor."""
