"""The compiled core: arrays in, arrays out, arguments already checked (fastnn._validate)."""
