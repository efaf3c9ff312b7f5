"""How the shipped network was trained: thirteen teachers, then one network that learns from what they predict.

    KERAS_BACKEND=torch python docs/distillation/train.py age_gender.csv.gz FOLDER

Written in PyTorch (2.11, not among the project's requirements) for the sake of CUDA graphs: a step of these small
networks is hundreds of short kernels, and is spent waiting without. It took about ten minutes on one data-centre GPU,
four networks at a time; on two cores it would take weeks. Faces, split, targets and the file that is written are the
project's. No face of the test part is used. Teachers that lie in FOLDER are not trained again.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import ageclf
from ageclf.faces.clusters import assign_parts, cluster_near_duplicates
from ageclf.faces.groups import REFERENCE_EDGES, group_names, group_statistics
from ageclf.faces.reading import load_faces
from ageclf.metrics.calibration import fit_temperature, fit_threshold, scale
from ageclf.network.backbones import LITE, RESIDUAL, STAGES, build_backbone
from ageclf.network.checkpoints import save_checkpoint
from ageclf.network.model import N_AGES, augmentation, build_network, flip_averaged, soft_targets
from ageclf.network.pretrained import load_backbone_weights

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FOLDS, VIEWS, SHARE = 5, 12, 0.7  # of the clusters; of each face; of the targets that comes from the teachers
AUGMENTATION = {"brightness": 0.2, "contrast": 0.2, "translation": 0.1, "rotation": 0.0, "zoom": 0.0, "erasing": 0.5}
RECIPE = {"batch": 112, "rate": 0.002, "size": 48, "mixup": 0.2, "decay": 0.02, "ema": 0.998, **AUGMENTATION}
WIDE = RECIPE | {"backbone": (1, (64, 128, 256)), "epochs": 30}
RECIPES = {
    "wide": WIDE,
    "wideb": WIDE | {"rotation": 0.02, "zoom": 0.06},
    "lite": RECIPE | {"backbone": LITE, "size": 96, "epochs": 10, "rate": 0.001},
}
# Each is trained without one fold. The last fold of the wide ones was planned, and not reached in time.
TEACHERS = [(name, k) for name, folds in (("wide", 4), ("wideb", 4), ("lite", 5)) for k in range(folds)]
# Its views hold the other augmentation already.
STUDENT = RECIPE | {"backbone": RESIDUAL["medium"], "epochs": 140, "brightness": 0, "contrast": 0, "translation": 0}


class Convolution(nn.Module):
    """Padded as TensorFlow pads, normalised, and cut off below 0."""

    def __init__(self, before, width, size=3, stride=1, cut=F.relu, groups=1):
        super().__init__()
        self.size, self.stride, self.cut = size, stride, cut
        self.conv = nn.Conv2d(before, width, size, stride, bias=False, groups=groups)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.1)

    def forward(self, x):
        side = x.shape[-1]
        total = max((math.ceil(side / self.stride) - 1) * self.stride + self.size - side, 0)
        low, high = total // 2, total - total // 2
        x = F.pad(x, (low, high, low, high)) if low != high else x
        padding = low if low == high else 0
        return self.cut(self.norm(F.conv2d(x, self.conv.weight, None, self.stride, padding, 1, self.conv.groups)))


def same(x):
    return x


class Residual(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        changes = before != width or stride != 1
        self.short = Convolution(before, width, 1, stride, same) if changes else same
        self.c1, self.c2 = Convolution(before, width, 3, stride), Convolution(width, width, cut=same)

    def forward(self, x):
        return F.relu(self.short(x) + self.c2(self.c1(x)))


class Inverted(nn.Sequential):
    def __init__(self, before, width, size, stride, expansion, add):
        inner = expansion * before
        expand = [Convolution(before, inner, 1, cut=F.relu6)] if expansion > 1 else []
        depthwise = Convolution(inner, inner, size, stride, F.relu6, groups=inner)
        super().__init__(*expand, depthwise, Convolution(inner, width, 1, cut=same))
        self.add = add

    def forward(self, x):
        return x + super().forward(x) if self.add else super().forward(x)


def residual(stride, widths):
    parts, before = [Convolution(1, 32, 3, stride)], 32
    for stage, width in enumerate(widths):
        for block in (0, 1):
            parts.append(Residual(before, width, 2 if stage and not block else 1))
            before = width
    return nn.Sequential(*parts), before


def efficientnet_lite0():
    parts, before = [Convolution(3, 32, 3, 2, F.relu6)], 32
    for repeats, size, stride, expansion, width in STAGES:
        for block in range(repeats):
            parts.append(Inverted(before, width, size, 1 if block else stride, expansion, block > 0))
            before = width
    body = nn.Sequential(*parts, Convolution(before, 1280, 1, cut=F.relu6))
    keras_body = build_backbone(LITE, 96)
    load_backbone_weights(keras_body, LITE, "imagenet")
    arrays = iter([np.asarray(one) for layer in keras_body.layers for one in layer.get_weights()])
    with torch.no_grad():
        for part in body.modules():
            if isinstance(part, Convolution):
                kernel = next(arrays)
                axes = (2, 3, 0, 1) if part.conv.groups > 1 else (3, 2, 0, 1)
                part.conv.weight.copy_(torch.tensor(kernel.transpose(axes)))
                norm = part.norm
                for one in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                    one.copy_(torch.tensor(next(arrays)))
    return body, 1280


class Network(nn.Module):
    """Grey values 0-255, (b, 48, 48), to logits of the groups, of the ages, and of male and female."""

    def __init__(self, recipe):
        super().__init__()
        self.lite, self.size = recipe["backbone"] == LITE, recipe["size"]
        self.backbone, width = efficientnet_lite0() if self.lite else residual(*recipe["backbone"])
        self.dense, self.drop = nn.Linear(width, 256), nn.Dropout(0.3)
        self.out = nn.ModuleList(nn.Linear(256, n) for n in (1 + len(REFERENCE_EDGES), N_AGES, 2))
        for layer in (self.dense, *self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = x[:, None]
        if self.size != x.shape[-1]:
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", align_corners=False)
        x = ((x - 127) / 128).expand(-1, 3, -1, -1) if self.lite else x / 127.5 - 1
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(DEVICE, torch.bfloat16):
            x = self.backbone(x).float().mean((2, 3))
            x = self.drop(F.relu(self.dense(x)))
            return [layer(x).float() for layer in self.out]


def augment(x, brightness, contrast, translation, rotation, zoom, erasing):
    """Change float (b, 48, 48) at random; shifts are of whole pixels, what they uncover is black."""
    b, i = len(x), torch.arange(48, device=x.device)

    def uniform(*shape):
        return 2 * torch.rand(*shape, device=x.device) - 1

    x = torch.where(uniform(b, 1, 1) < 0, x.flip(2), x)
    if brightness:
        x = (x + 255 * brightness * uniform(b, 1, 1)).clamp(0, 255)
    if contrast:
        mean = x.mean((1, 2), keepdim=True)
        x = (mean + (x - mean) * (1 + contrast * uniform(b, 1, 1))).clamp(0, 255)
    if rotation or zoom:
        a, z, zero = 2 * math.pi * rotation * uniform(b), torch.exp(zoom * uniform(b)), torch.zeros(b, device=x.device)
        rows = [torch.stack(row, 1) for row in ((z * a.cos(), -z * a.sin(), zero), (z * a.sin(), z * a.cos(), zero))]
        grid = F.affine_grid(torch.stack(rows, 1), (b, 1, 48, 48), align_corners=False)
        x = F.grid_sample(x[:, None], grid, align_corners=False)[:, 0]
    if translation:
        shift = torch.round(48 * translation * uniform(b, 2)).long()
        r, c = i[None] + shift[:, :1], i[None] + shift[:, 1:]
        inside = ((r >= 0) & (r < 48))[:, :, None] & ((c >= 0) & (c < 48))[:, None]
        faces = torch.arange(b, device=x.device)[:, None, None]
        x = x[faces, r.clamp(0, 47)[:, :, None], c.clamp(0, 47)[:, None]] * inside
    if erasing:
        area, ratio = (0.11 + 0.09 * uniform(b)) * 48**2, torch.exp(0.7 * uniform(b))
        h, w, centre = (area * ratio).sqrt() / 2, (area / ratio).sqrt() / 2, 24 + 24 * uniform(b, 2)
        rows, columns = (i[None] - centre[:, :1]).abs() < h[:, None], (i[None] - centre[:, 1:]).abs() < w[:, None]
        erased = rows[:, :, None] & columns[:, None] & (torch.rand(b, 1, 1, device=x.device) < erasing)
        x = torch.where(erased, 255 * torch.rand(b, 1, 1, device=x.device), x)
    return x


def make_views(images):
    """Return uint8 (VIEWS * n, 48, 48): the faces as they are, then changed ones."""
    torch.manual_seed(123)
    kinds, views = AUGMENTATION | {"erasing": 0}, []
    for view in range(VIEWS):
        for start in range(0, len(images), 4096):
            x = torch.tensor(images[start : start + 4096], device=DEVICE).float()
            views.append((augment(x, **kinds) if view else x).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(views)


def train(recipe, images, targets, n, seed):
    """Train on images, uint8 (views * n, 48, 48), and their targets, three arrays (views * n, …), of n faces.

    `seed` is that of the order and of the mixing; PyTorch's generator, of initial weights and augmentation, goes on
    where it is. Each epoch shows each face once, in one of its views. Returns the network with the EMA of its weights,
    and batch-norm statistics of at most 2,560 faces as they are.
    """
    x_all, y_all = torch.as_tensor(images, device=DEVICE), [torch.as_tensor(one, device=DEVICE) for one in targets]
    views, batch, steps = len(x_all) // n, recipe["batch"], n // recipe["batch"]
    network = Network(recipe).to(DEVICE, memory_format=torch.channels_last)
    kinds = {name: recipe[name] for name in AUGMENTATION}
    parameters = list(network.parameters())
    rate, last = torch.zeros((), device=DEVICE), recipe["epochs"] * steps
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim < 2]
    weights = [{"params": matrices, "weight_decay": recipe["decay"]}, {"params": vectors, "weight_decay": 0.0}]
    on_gpu = {"fused": True, "capturable": True} if DEVICE == "cuda" else {}
    optimizer = torch.optim.AdamW(weights, lr=rate, eps=1e-7, **on_gpu)
    warm, i = max(1, round(0.05 * last)), np.arange(1, last + 1)
    falling = 0.5 * (1 + np.cos(np.pi * np.clip((i - warm) / max(1, last - warm), 0, 1)))
    rates = torch.tensor(recipe["rate"] * np.where(i < warm, i / warm, falling), dtype=torch.float32, device=DEVICE)
    chosen, share = torch.zeros(batch, dtype=torch.long, device=DEVICE), torch.ones((), device=DEVICE)

    def step():
        x, y = augment(x_all[chosen].float(), **kinds), [one[chosen] for one in y_all]
        x, y = (share * x + (1 - share) * x.flip(0)), [share * one + (1 - share) * one.flip(0) for one in y]
        losses = [-(q * F.log_softmax(z, 1)).sum(1).mean() for z, q in zip(network(x), y, strict=True)]
        sum(losses).backward()
        optimizer.step()

    network.train()
    averages, graph = [p.detach().clone() for p in parameters], None
    if DEVICE == "cuda":
        state, side = [one.clone() for one in network.state_dict().values()], torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                optimizer.zero_grad(set_to_none=True)
                step()
        torch.cuda.current_stream().wait_stream(side)
        optimizer.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        with torch.no_grad():  # forget the warm-up
            for now, before in zip(network.state_dict().values(), state, strict=True):
                now.copy_(before)
            for one in (one for several in optimizer.state.values() for one in several.values()):
                one.zero_()
    rng, done = np.random.default_rng(seed), 0
    for _ in range(recipe["epochs"]):
        order = rng.permutation(n)[: steps * batch]
        order = order + n * rng.integers(0, views, len(order)) if views > 1 else order
        order = torch.tensor(order.reshape(steps, batch), device=DEVICE)
        mixed = rng.beta(recipe["mixup"], recipe["mixup"], steps)
        mixed = torch.tensor(np.maximum(mixed, 1 - mixed), dtype=torch.float32, device=DEVICE)
        for i in range(steps):
            chosen.copy_(order[i])
            share.copy_(mixed[i])
            rate.copy_(rates[done])
            if graph:
                graph.replay()
            else:
                optimizer.zero_grad(set_to_none=True)
                step()
            done += 1
            with torch.no_grad():
                torch._foreach_lerp_(averages, parameters, 1 - min(recipe["ema"], (1 + done) / (10 + done)))
    with torch.no_grad():
        for parameter, average in zip(parameters, averages, strict=True):
            parameter.copy_(average)
        some = np.random.default_rng(1).permutation(n)[:2560]  # the first view is the faces as they are
        for part in 2 * np.array_split(some, max(1, len(some) // 128)):
            network(x_all[torch.tensor(part, device=DEVICE)].float())
    return network.eval()


def predict(network, images, at_once=2048):
    """Return probabilities, float16, of groups and of ages."""
    parts = torch.split(torch.as_tensor(images), at_once)
    with torch.no_grad():
        logits = [network(part.to(DEVICE).float())[:2] for part in parts]
    return [torch.cat([F.softmax(one[k], 1).half() for one in logits]).cpu().numpy() for k in (0, 1)]


def to_keras(state):
    """Return the network of the project, `flip_averaged`, with the weights of a student, arrays by name."""
    network = build_network("medium", augment=augmentation(rotation=0, whole_pixels=True))
    body = network.get_layer("backbone")
    names, blocks = {"0": "stem"}, [(stage, block) for stage in (1, 2, 3, 4) for block in (1, 2)]
    for i, (stage, block) in enumerate(blocks, start=1):
        for mine, theirs in (("short", "shortcut"), ("c1", "conv1"), ("c2", "conv2")):
            names[f"{i}.{mine}"] = f"stage{stage}_block{block}_{theirs}"
    convolutions = [name for name in state if name.endswith(".conv.weight")]
    for mine, theirs in ((f"backbone.{mine}", theirs) for mine, theirs in names.items()):
        if f"{mine}.conv.weight" in convolutions:  # not each block changes the channels
            convolutions.remove(f"{mine}.conv.weight")
            body.get_layer(f"{theirs}_conv").set_weights([state[f"{mine}.conv.weight"].transpose(2, 3, 1, 0)])
            norm = [state[f"{mine}.norm.{one}"] for one in ("weight", "bias", "running_mean", "running_var")]
            body.get_layer(f"{theirs}_norm").set_weights(norm)
    assert not convolutions, convolutions
    for mine, theirs in (("dense", "dense"), ("out.0", "probabilities")):
        network.get_layer(theirs).set_weights([state[f"{mine}.weight"].T, state[f"{mine}.bias"]])
    return flip_averaged(network)


def label_targets(table):
    ages = table["age"].to_numpy()
    genders = np.eye(2, dtype=np.float32)[table["gender"].to_numpy()]
    return [soft_targets(ages, edges, 2.5) for edges in (REFERENCE_EDGES, range(1, N_AGES))] + [genders]


def main():
    faces, out = load_faces(Path(sys.argv[1])), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    clusters = cluster_near_duplicates(faces.images)
    parts = np.asarray(assign_parts(faces.table["face_id"], clusters, 0)).astype(str)
    faces = faces.select(parts != "test")
    val = parts[parts != "test"] == "val"
    clusters = np.unique(clusters[parts != "test"], return_inverse=True)[1]
    fold = np.random.default_rng(0).integers(0, FOLDS, 20_000)[clusters]
    targets, views = label_targets(faces.table), make_views(faces.images)
    taught, n = [0.0, 0.0], len(val)
    for name, k in TEACHERS:
        path = out / f"{name}-{k}.npz"
        if not path.exists():
            rows, seed = np.flatnonzero(~val & (fold != k)), 10 * k + len(name)
            torch.manual_seed(seed)
            network = train(RECIPES[name], faces.images[rows], [one[rows] for one in targets], len(rows), seed)
            np.savez(path, *predict(network, views))
        predicted = np.load(path)
        taught = [
            mean + predicted[one] / np.float32(len(TEACHERS)) for mean, one in zip(taught, predicted, strict=True)
        ]
        print(path.stem, "is done", flush=True)
    true = targets[0][val].argmax(1)
    mirrored = faces.images[val], faces.images[val][..., ::-1].copy()
    for name, rows in (("validated", np.flatnonzero(~val)), ("shipped", np.arange(n))):
        means = [one.reshape(VIEWS, n, -1)[:, rows].reshape(VIEWS * len(rows), -1) for one in taught]
        labels = [np.tile(one[rows], (VIEWS, 1)) for one in targets]
        mixed = [(1 - SHARE) * label + SHARE * mean for label, mean in zip(labels, means, strict=False)] + [labels[2]]
        shown = views.reshape(VIEWS, n, 48, 48)[:, torch.as_tensor(rows, device=DEVICE)].flatten(0, 1)
        torch.manual_seed(123)
        network = train(STUDENT, shown, mixed, len(rows), 1)
        probabilities = sum(predict(network, one)[0].astype(np.float32) for one in mirrored) / 2
        if name == "validated":
            temperature = fit_temperature(probabilities, true)
            threshold = fit_threshold(scale(probabilities, temperature), true)
        print(name, f"{(probabilities.argmax(1) == true).mean():.4f} of the validation part", flush=True)
    state = {name: one.cpu().numpy() for name, one in network.state_dict().items()}
    save_checkpoint(to_keras(state), out / "shipped.keras", provenance(faces, temperature, threshold))


def provenance(faces, temperature, threshold):
    counts, ages = group_statistics(faces.table["age"], REFERENCE_EDGES)
    return {
        "run": "best",
        "data": {name: faces.source[name] for name in ("name", "sha256", "synthetic")},
        **ageclf.code(),
        "versions": {"torch": torch.__version__},
        "groups": group_names(REFERENCE_EDGES),
        "edges": list(REFERENCE_EDGES),
        "backbone": "medium",
        "weights": "none",
        "image_size": STUDENT["size"],
        "flip_average": True,
        "split": "cluster",
        "split_seed": 0,
        "seed": 1,
        "recipe": STUDENT,
        "views": VIEWS,
        "teachers": [f"{name}-{k}" for name, k in TEACHERS],
        "epoch": STUDENT["epochs"],
        "temperature": temperature,
        "threshold": threshold,
        "training_counts": counts,
        "group_ages": ages,
        "training_faces": sorted(set(faces.table["face_id"])),
    }


if __name__ == "__main__":
    main()
