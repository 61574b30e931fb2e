"""How the gradient of an output with several readers comes together."""

from dataclasses import dataclass

from .network import Add, Network, activation_of


@dataclass(frozen=True, kw_only=True)
class Share:
    """What an operation does with the gradient of one of its inputs: stores its share in the
    input's own gradient, together with the gradient that has the name ``addend``, if any; the
    ``last`` one also takes the derivative of the input's activation."""

    addend: str | None
    last: bool


class GradientFlow:
    """The plan of a backward pass in reverse order of the operations.

    ``shares`` has those of each (operation, number of the input); an input without one needs no
    instruction. ``owners`` names, for each operation whose gradient is wanted, that whose gradient
    tensor holds it: mostly its own, but a sum's gradient is also that of its terms.
    """

    def __init__(self, network: Network):
        self.shares: dict[tuple[str, int], Share] = {}
        self.owners: dict[str, str] = {}
        wanted = _trained_or_after(network)
        for operation in reversed(network.operations):
            if operation.name in wanted:
                self._follow(network, operation)

    def _follow(self, network: Network, operation) -> None:
        readers = [(reader, number) for reader in reversed(network.operations)
                   for number, source in enumerate(reader.inputs) if source == operation.name]
        left = None
        for reader, number in readers:
            last = (reader, number) == readers[-1]
            if isinstance(reader, Add) and left is None and not (last and activation_of(operation)):
                left = self.owners[reader.name]
                continue
            self.shares[reader.name, number] = Share(addend=left, last=last)
            left = operation.name
        self.owners[operation.name] = left or operation.name


def _trained_or_after(network: Network) -> set[str]:
    """The operations that have parameters or depend on one that has."""
    wanted = set()
    for operation in network.operations:
        if operation.parameters or wanted.intersection(operation.inputs):
            wanted.add(operation.name)
    return wanted
