"""From an ordinary ``torch.nn.Module`` to a :class:`~.network.Network`, by torch.fx."""

from collections.abc import Mapping
from contextlib import contextmanager

import torch
from torch import fx, nn

from .fusion import fuse
from .network import Convolution, Network, Part, Shape
from .operation import INPUT, Operation
from .program import CompileError
from .rules import RULES, VIEWS
from .token_slice import TokenSlice
from .values import Call, Value, channels_first, channels_last


def capture(model: nn.Module, input_shape: tuple[int, ...]) -> Network:
    """The network of ``model`` in training, for samples of (channels, height, width), (tokens,
    features) or (features,).

    Raises :class:`CompileError` with the operation's name and the reason for what cannot be mapped.
    """
    with _mode(model, training=True):
        try:
            graph = fx.symbolic_trace(model)
        except Exception as error:  # torch.fx raises many kinds for untraceable Python
            raise CompileError(f"{type(model).__name__}: torch.fx cannot trace it: {error}") from error
        placeholders = [node.name for node in graph.graph.nodes if node.op == "placeholder"]
        if len(placeholders) != 1:
            raise CompileError(f"{type(model).__name__}: the model must have one input, not {', '.join(placeholders)}")
        state = dict(model.named_parameters()) | dict(model.named_buffers())
        return fuse(_Capture(graph, _shapes_of(graph, input_shape), state).network(input_shape))


def _shapes_of(graph: fx.GraphModule, input_shape: tuple[int, ...]) -> dict[fx.Node, tuple[int, ...]]:
    """Of every node's result, for two samples."""
    shapes = _Shapes(graph)
    with _mode(graph, training=False):  # running statistics stay as they are
        try:
            shapes.run(torch.zeros(2, *input_shape, dtype=torch.long if _looks_up(graph) else torch.float32))
        except RuntimeError as error:
            raise CompileError(f"{type(graph).__name__}: does not accept input of shape {input_shape}: "
                               f"{str(error).splitlines()[0]}") from error
    return shapes.shapes


def _looks_up(graph: fx.GraphModule) -> bool:
    """Whether samples are entry numbers of an Embedding."""
    return any(node.op == "call_module" and isinstance(graph.get_submodule(node.target), nn.Embedding)
               and node.args and node.args[0].op == "placeholder" for node in graph.graph.nodes)


@contextmanager
def _mode(model: nn.Module, training: bool):
    before = {module: module.training for module in model.modules()}
    try:
        model.train(training)
        yield
    finally:
        for module, flag in before.items():
            module.training = flag


class _Shapes(fx.Interpreter):
    """Runs the graph on two samples to learn every node's shape."""

    def __init__(self, graph: fx.GraphModule):
        super().__init__(graph)
        self.extra_traceback = False
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run_node(self, node: fx.Node):
        with torch.no_grad():
            result = super().run_node(node)
        if isinstance(result, torch.Tensor):
            self.shapes[node] = tuple(result.shape)
        return result


class _Capture(fx.Interpreter):
    """Interprets the graph with a :class:`Value` in place of each tensor, and keeps the operations."""

    def __init__(self, graph: fx.GraphModule, shapes: dict[fx.Node, tuple[int, ...]], state: Mapping[str, torch.Tensor]):
        super().__init__(graph)
        self.extra_traceback = False
        self._shapes = shapes
        self._state = state
        self._operations: dict[str, Operation] = {}
        self._paths: dict[str, str | Part] = {}
        self._names: set[str] = {INPUT}
        self._trained: dict[nn.Parameter, str] = {}

    def network(self, input_shape: tuple[int, ...]) -> Network:
        if len(input_shape) == 3:
            sample = *input_shape[1:], input_shape[0]
            index = channels_first(sample)
        else:
            sample = *(1,) * (3 - len(input_shape)), *input_shape
            index = channels_last(*input_shape)
        result = self.run(Value(INPUT, sample, index))
        if not isinstance(result, Value):
            raise CompileError("output: the model must return one tensor")
        last = self._operations.get(result.name)
        if (not isinstance(last, Convolution) or last.output[:2] != (1, 1)
                or not result.lies_as(channels_last(last.channels))):
            raise CompileError("output: the last layer must be a Linear that gives the logits")
        return Network(sample=sample, operations=self._needed_for(last), paths=self._paths)

    def run_node(self, node: fx.Node):
        if node.op in ("placeholder", "get_attr", "output"):
            return super().run_node(node)
        arguments, options = self.fetch_args_kwargs_from_env(node)
        values = [value for value in _leaves((arguments, options)) if isinstance(value, Value)]
        module = self.fetch_attr(node.target) if node.op == "call_module" else None
        kind = node.target if module is None else type(module)
        if not values or (kind in VIEWS and not isinstance(arguments[0], Value)):
            rows = _rows_of_embedding(module, arguments)
            return super().run_node(node) if rows is None else rows  # arithmetic on shapes, parts of tuples
        if kind in VIEWS:
            result = getattr(super(), node.op)(node.target, (values[0].index.contiguous(), *arguments[1:]), options)
            return _map(result, lambda index: Value(values[0].name, values[0].produced, index))
        name = self._name(node)
        self._claim(name, module)
        result, in_place = self._apply(name, node.target if module is None else module, arguments, options,
                                       self._shapes.get(node))
        if in_place:  # who reads the argument later reads the result
            self.env[node.all_input_nodes[0]] = result
        return result

    def _apply(self, name: str, target, arguments, options, shape=None) -> tuple[Value | tuple, bool]:
        """The result of a module or function, and whether it takes the place of the argument."""
        module = target if isinstance(target, nn.Module) else None
        kind = target if module is None else type(module)
        if kind not in RULES:
            mapped = ", ".join(sorted(kind.__name__ for kind in RULES if isinstance(kind, type)))
            raise CompileError(f"{name}: {getattr(kind, '__name__', kind)} is not mapped; mapped modules are {mapped}")
        arguments, options = _map((arguments, options), self._sliced, Value)
        values = [value for value in _leaves((arguments, options)) if isinstance(value, Value)]
        call = Call(name=name, module=module, arguments=arguments, options=options, values=values, shape=shape,
                    state=self._state, append=self._append, expand=lambda *part: self._apply(*part)[0])
        return RULES[kind](call), call.in_place

    def _append(self, operation: Operation, paths: Mapping[str, str | Part]) -> None:
        if operation.name in self._operations:
            raise ValueError(f"operation {operation.name!r} is added twice")
        for path in paths.values():
            if isinstance(path, Part) and isinstance(whole := self._state[path.path], nn.Parameter):
                owner = self._trained.setdefault(whole, operation.name)
                if operation.name != owner and not operation.name.startswith(f"{owner}."):
                    raise CompileError(f"{operation.name}: must have parameters of its own, not share those of {owner}")
        self._operations[operation.name] = operation
        self._paths.update({f"{operation.name}.{name}": path for name, path in paths.items()})

    def _sliced(self, value: Value) -> Value:
        """``value`` itself, or what an operation cuts out of its source if it is some of the tokens."""
        height, width, features = value.produced
        tokens, elements = height * width, value.index[0].numel()
        first = int(value.index.flatten()[0]) // features
        count = elements // features
        start = torch.tensor([first, tokens + first])[:, None] * features
        if count * features != elements or count == tokens or not torch.equal(
                value.index.reshape(2, -1), start + torch.arange(elements)):
            return value
        operation = TokenSlice(name=f"{value.name}[{first}:{first + count}]", inputs=(value.name,),
                               image=(1, tokens, features), first=first, count=count)
        self._operations.setdefault(operation.name, operation)
        return Value(operation.name, operation.output, torch.arange(2 * elements).reshape(value.index.shape))

    def _name(self, node: fx.Node) -> str:
        """The module's path or the node's name, with a number behind it from the second call on."""
        base = name = str(node.target) if node.op == "call_module" else node.name
        count = 1
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    def _claim(self, name: str, module: nn.Module | None) -> None:
        for parameter in module.parameters() if module else ():
            if parameter in self._trained:
                raise CompileError(f"{name}: must have parameters of its own, not share those of "
                                   f"{self._trained[parameter]}")
            self._trained[parameter] = name

    def _needed_for(self, last: Operation) -> tuple[Operation, ...]:
        """The operations on whose outputs that of ``last`` depends, in order."""
        needed = {last.name}
        for operation in reversed(self._operations.values()):
            if operation.name in needed:
                needed.update(operation.inputs)
        return tuple(operation for operation in self._operations.values() if operation.name in needed)


def _rows_of_embedding(module: nn.Module | None, arguments) -> torch.Tensor | None:
    """The part of an Embedding's weight that it looks up, if those are numbers one after the other."""
    if not isinstance(module, nn.Embedding) or not isinstance(arguments[0], torch.Tensor):
        return None
    numbers = arguments[0].flatten()
    first, count = int(numbers[0]), len(numbers)
    if not torch.equal(numbers, torch.arange(first, first + count)):
        return None
    return module.weight[first:first + count].view(*arguments[0].shape, -1)


def _leaves(item):
    if isinstance(item, dict):
        item = tuple(item.values())
    if isinstance(item, (tuple, list)):
        for part in item:
            yield from _leaves(part)
    else:
        yield item


def _map(result, wrap, kind=torch.Tensor):
    """``result`` with ``wrap`` of whatever in it is of ``kind``."""
    if isinstance(result, dict):
        return {name: _map(part, wrap, kind) for name, part in result.items()}
    if isinstance(result, (tuple, list)) and not isinstance(result, torch.Size):
        return tuple(_map(part, wrap, kind) for part in result)
    return wrap(result) if isinstance(result, kind) else result
