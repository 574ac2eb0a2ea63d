"""Searches for the settings of a method that reach an accuracy with the fewest samples."""
