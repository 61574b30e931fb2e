"""From a torch.nn.Module to a memory image and programs."""
