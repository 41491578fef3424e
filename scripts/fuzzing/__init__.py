"""The parts of scripts/fuzz_api.py."""
