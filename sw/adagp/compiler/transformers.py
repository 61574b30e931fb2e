"""What PyTorch's attention, transformer and embedding modules become: rules of capture."""

import operator
from collections.abc import Mapping
from dataclasses import replace
from math import prod

import torch
from torch import nn
from torch.nn import functional

from .attention import Attention, Heads
from .class_tokens import ClassTokens
from .embedding import Embedding
from .network import Convolution, Part
from .operation import INPUT
from .positions import Positions
from .values import Call, Value, channels_last


def embedding(call: Call) -> Value:
    value, module = call.values[0], call.module
    if value.name != INPUT or not value.lies_as(channels_last(*value.shape)):
        call.refuse(f"Embedding looks up the samples themselves, not {value.name}")
    if module.max_norm is not None or module.scale_grad_by_freq:
        call.refuse("Embedding needs max_norm None and scale_grad_by_freq False")
    if module.padding_idx is not None and module.weight[module.padding_idx].any():
        call.refuse(f"Embedding.weight must be zero at padding_idx, {module.padding_idx}")
    operation = Embedding(name=call.name, inputs=call.inputs, tokens=prod(value.shape), entries=module.num_embeddings,
                          features=module.embedding_dim, padding=module.padding_idx)
    return call.add(operation, channels_last(*value.shape, module.embedding_dim))


def positions(call: Call) -> Value:
    """The sum of activations and values that the model has."""
    (added,) = (argument for argument in call.arguments if isinstance(argument, torch.Tensor))
    image = call.rows()
    if tuple(added.shape) not in (image, call.values[0].shape):
        call.refuse(f"adds values of the shape of the tokens, {call.values[0].shape}, not {tuple(added.shape)}")
    part, trained = call.part_of_model(added)
    operation = Positions(name=call.name, inputs=call.inputs, image=image, trained=trained)
    return call.add_rows(operation, paths={"weight": part})


def class_tokens(call: Call) -> Value:
    """Tokens that the model has, for every sample, before those of the sample."""
    before, value = call.arguments[0]
    image = call.rows()
    if not isinstance(before, torch.Tensor) or before.dim() != 3 or before.shape[2] != image[2]:
        call.refuse("concatenates parameters before tokens of as many features")
    part, trained = call.part_of_model(before[0])
    if not trained:
        call.refuse(f"needs a parameter before the tokens, and {part.path} is none")
    operation = ClassTokens(name=call.name, inputs=call.inputs, image=image, count=before.shape[1])
    return call.add(operation, channels_last(*operation.output[1:]), {"weight": part})


def scaled_dot_product_attention(call: Call) -> Value:
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
    given = dict.fromkeys(names) | dict(zip(names, call.arguments)) | call.options
    if given["dropout_p"] or given["enable_gqa"]:
        call.refuse("scaled_dot_product_attention needs dropout_p 0 and enable_gqa False")
    q, k, v = (given[name] for name in names[:3])
    mask = given["attn_mask"]
    if isinstance(mask, torch.Tensor) and mask.dtype == torch.bool:
        mask = ~mask  # here it says what is seen, in modules what is not
    causal = bool(given["is_causal"]) or _is_causal(call, mask, q.shape[-2], k.shape[-2])
    if len(q.shape) == 2:
        parts = [_with_index(value, value.index[:, None]) for value in (q, k, v)]
        result = _attend(call, parts, causal, given["scale"])
        return _with_index(result, result.index[:, 0])
    return _attend(call, [q, k, v], causal, given["scale"])


def multihead_attention(call: Call) -> tuple[Value, None]:
    """Weights are not given, as with ``need_weights`` False."""
    module, given = call.module, call.bound()
    if not module.batch_first:
        call.refuse("MultiheadAttention.batch_first must be True")
    if module.dropout:
        call.refuse(f"MultiheadAttention.dropout must be 0, not {module.dropout!r}")
    if module.bias_k is not None or module.add_zero_attn:
        call.refuse("MultiheadAttention needs add_bias_kv and add_zero_attn False")
    if given["key_padding_mask"] is not None:
        call.refuse("key_padding_mask must be None")
    values = [given[name] for name in ("query", "key", "value")]
    parts = [_with_index(value, value.index.unflatten(-1, (module.num_heads, module.head_dim)).transpose(1, 2))
             for value in _projected(call, values)]
    causal = _is_causal(call, given["attn_mask"], parts[0].shape[1], parts[1].shape[1])
    result = _attend(call, parts, causal, None)
    return call.apply("out_proj", module.out_proj, _with_index(result, result.index.transpose(1, 2).flatten(2))), None


def _projected(call: Call, values: list[Value]) -> list[Value]:
    """Queries, keys and values, by one linear layer for all that have the same input."""
    module, embedding = call.module, call.module.embed_dim
    groups: list[list[int]] = []
    for number, value in enumerate(values):
        same = groups and _same(values[groups[-1][0]], value) and module._qkv_same_embed_dim
        groups[-1].append(number) if same else groups.append([number])
    results = []
    for group in groups:
        source, first, outputs = values[group[0]], group[0], len(group) * embedding
        inner = replace(call, name=f"{call.name}.in_proj{first or ''}", values=[source])
        image = inner.rows()
        paths = {}
        if module._qkv_same_embed_dim:
            paths["weight"] = Part(f"{call.name}.in_proj_weight", first * embedding * image[2], (outputs, image[2]))
        else:
            paths["weight"] = f"{call.name}.{'qkv'[first]}_proj_weight"
        if module.in_proj_bias is not None:
            paths["bias"] = Part(f"{call.name}.in_proj_bias", first * embedding, (outputs,))
        layer = Convolution(name=inner.name, inputs=inner.inputs, image=image, channels=outputs,
                            bias="bias" in paths)
        result = inner.add_rows(layer, paths=paths)
        results += [_with_index(result, index) for index in result.index.split(embedding, -1)]
    return results


def _attend(call: Call, parts: list[Value], causal: bool, scale: float | None) -> Value:
    """Attention of parts that are (samples, heads, tokens, features of a head)."""
    sources = list(dict.fromkeys(part.name for part in parts))
    heads, _, size = parts[0].shape
    places = [_place(call, part, sources.index(part.name)) for part in parts]
    if any(part.shape[0] != heads or part.shape[2] != size for part in parts):
        call.refuse(f"attention needs equal numbers and sizes of heads, not {[part.shape for part in parts]}")
    images = {part.name: (1, part.produced[0] * part.produced[1], part.produced[2]) for part in parts}
    operation = Attention(
        name=call.name, inputs=tuple(sources), images=tuple(images.values()), heads=heads, size=size, queries=places[0],
        keys=places[1], values=places[2], scale=size ** -0.5 if scale is None else scale, causal=causal)
    for number, source in enumerate(sources):
        read = sorted(feature for place in set(places) if place.source == number for head in range(heads)
                      for feature in range(place.first + head * place.pitch, place.first + head * place.pitch + size))
        if read != list(range(images[source][2])):
            call.refuse(f"attention must read all features of {source}, each as one of queries, keys and values")
    _, tokens, features = operation.output
    return call.add(operation, channels_last(tokens, features).unflatten(-1, (heads, size)).transpose(1, 2))


def _place(call: Call, part: Value, source: int) -> Heads:
    height, width, features = part.produced
    if len(part.shape) == 3 and part.shape[1] == height * width:
        heads, tokens, size = part.shape
        first = int(part.index[0, 0, 0, 0])
        pitch = int(part.index[0, 1, 0, 0]) - first if heads > 1 else size
        of_token = first + pitch * torch.arange(heads)[:, None, None] + torch.arange(size)
        expected = of_token + features * torch.arange(2 * tokens).reshape(2, 1, tokens, 1)
        if pitch >= size and first + pitch * (heads - 1) + size <= features and torch.equal(part.index, expected):
            return Heads(source=source, first=first, pitch=pitch)
    return call.refuse(f"attention needs (heads, tokens, features) out of all tokens, features last, not {part.shape} "
                       f"out of the {part.produced} (height, width, channels) of {part.name}")


def _is_causal(call: Call, mask, queries: int, keys: int) -> bool:
    """Whether ``mask``, additive or True where it hides, is the causal one; refuses others but None."""
    if mask is None:
        return False
    if isinstance(mask, torch.Tensor):
        hidden = mask if mask.dtype == torch.bool else mask == -torch.inf
        causal = torch.ones(queries, keys, dtype=torch.bool).triu(1)
        if hidden.shape[-2:] == causal.shape and (mask.dtype == torch.bool or not mask[~hidden].any()):
            if (hidden == causal).all():
                return True
            if not hidden.any():
                return False
    return call.refuse("masks must hide nothing but later positions, or be None")


def encoder_layer(call: Call) -> Value:
    layer, given = call.module, call.bound()
    _without_padding(call, given)

    def attend(x: Value) -> Value:
        return _apply_attention(call, "self_attn", "dropout1", x, x, given["src_mask"])

    x = given["src"]
    if layer.norm_first:
        x = _add(call, "add1", x, attend(call.apply("norm1", layer.norm1, x)))
        return _add(call, "add2", x, _feed_forward(call, "dropout2", call.apply("norm2", layer.norm2, x)))
    x = call.apply("norm1", layer.norm1, _add(call, "add1", x, attend(x)))
    return call.apply("norm2", layer.norm2, _add(call, "add2", x, _feed_forward(call, "dropout2", x)))


def decoder_layer(call: Call) -> Value:
    layer, given = call.module, call.bound()
    _without_padding(call, given)
    memory, memory_mask = given["memory"], given["memory_mask"]
    blocks = {
        "norm1": lambda x: _apply_attention(call, "self_attn", "dropout1", x, x, given["tgt_mask"]),
        "norm2": lambda x: _apply_attention(call, "multihead_attn", "dropout2", x, memory, memory_mask),
        "norm3": lambda x: _feed_forward(call, "dropout3", x)}
    x = given["tgt"]
    for number, (norm, block) in enumerate(blocks.items(), 1):
        module = getattr(layer, norm)
        if layer.norm_first:
            x = _add(call, f"add{number}", x, block(call.apply(norm, module, x)))
        else:
            x = call.apply(norm, module, _add(call, f"add{number}", x, block(x)))
    return x


def encoder(call: Call) -> Value:
    given = call.bound()
    _without_padding(call, given)
    x = given["src"]
    for number, layer in enumerate(call.module.layers):
        x = call.apply(f"layers.{number}", layer, x, src_mask=given["mask"])
    return call.apply("norm", call.module.norm, x) if call.module.norm is not None else x


def decoder(call: Call) -> Value:
    given = call.bound()
    _without_padding(call, given)
    x = given["tgt"]
    for number, layer in enumerate(call.module.layers):
        x = call.apply(f"layers.{number}", layer, x, given["memory"], tgt_mask=given["tgt_mask"],
                       memory_mask=given["memory_mask"])
    return call.apply("norm", call.module.norm, x) if call.module.norm is not None else x


def _apply_attention(call: Call, name: str, dropout: str, x: Value, memory: Value, mask) -> Value:
    y, _ = call.apply(name, getattr(call.module, name), x, memory, memory, attn_mask=mask)
    return call.apply(dropout, getattr(call.module, dropout), y)


def _feed_forward(call: Call, dropout: str, x: Value) -> Value:
    layer = call.module
    x = call.apply("activation", layer.activation, call.apply("linear1", layer.linear1, x))
    x = call.apply("linear2", layer.linear2, call.apply("dropout", layer.dropout, x))
    return call.apply(dropout, getattr(layer, dropout), x)


def _add(call: Call, name: str, x: Value, y: Value) -> Value:
    return call.apply(name, operator.add, x, y)


def _without_padding(call: Call, given: Mapping) -> None:
    for name, value in given.items():
        if name.endswith("key_padding_mask") and value is not None:
            call.refuse(f"{name} must be None")


def _same(a: Value, b: Value) -> bool:
    return a.name == b.name and a.lies_as(b.index)


def _with_index(value: Value, index: torch.Tensor) -> Value:
    return Value(value.name, value.produced, index)


RULES = {
    nn.Embedding: embedding,
    functional.scaled_dot_product_attention: scaled_dot_product_attention,
    nn.MultiheadAttention: multihead_attention,
    nn.TransformerEncoderLayer: encoder_layer,
    nn.TransformerDecoderLayer: decoder_layer,
    nn.TransformerEncoder: encoder,
    nn.TransformerDecoder: decoder,
}
