"""The paper's evaluation: its kind of networks and data, its method, and backpropagation then and now."""
