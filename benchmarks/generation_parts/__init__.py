"""What `benchmarks/generation.py` is made of: clients in processes of their own, and what is measured with them."""
