"""Token rows into texts, each as if it had been decoded alone, as fast as the machine allows.

decoder    all rows of a call: the shared prefix, the workers, what to do when memory runs out
capacity   how many rows at once, by how many workers: from the memory and the processor at hand
rows       a worker: rows in slots, a token a step, free slots refilled
search     the next token: the likeliest, drawn, or of several beams
ending     when a text is complete
forward    the model's passes over slots
slots      keys and values where they lie, and the attention over them
whole      for architectures that do not run over slots: transformers' own `generate`, batch by batch
"""
