"""How this machine computes: device and precision, the engine of the frozen part, and what it stores."""
