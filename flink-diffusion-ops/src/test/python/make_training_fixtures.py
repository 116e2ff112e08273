#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""Makes ../resources/fixtures/training: what torch and diffusers compute of a training, for the tests of the room `training`.

* `arithmetic.safetensors` and `arithmetic.json`: optimizers over 100 steps on given gradients, clipping, averages, weight normalization,
  learning rates, noise levels, loss weights, Huber thresholds.
* `objectives.safetensors`: losses of given predictions and their gradients, for every target, distance and weight, and of a learned variance.
* `gradients.safetensors` and `gradients.json`: losses of tiny networks and the gradients of their parameters.
* `mixed.safetensors`: a loss and gradients under torch's autocast to bfloat16.
* `distillation.safetensors`: losses of students and their gradients: latent consistency, progressive, guidance, pruned.

Weights of the networks are those of fixtures/models and fixtures/lora; run it after these. Networks too large to keep every gradient keep
a projection of each: see `summary`.

This file is the list of what a training is compared in, one function each, and is as long as these are many.
"""

import json
import math

import torch
from diffusers import AutoencoderKL, ControlNetModel, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DConditionModel, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel, compute_snr
from transformers import CLIPTextModel

from fixture_tools import FIXTURES, configure_torch, seeded, write_json, write_tensors

OUT = FIXTURES.parent / "training"
STEPS = 100

SCHEDULES = {
    "linear": dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02),
    "scaled_linear": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012),
    "cosine": dict(beta_schedule="squaredcos_cap_v2"),
    "sigmoid": dict(beta_schedule="sigmoid", beta_start=1e-4, beta_end=0.02),
    "zero_snr": dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, rescale_betas_zero_snr=True),
}


# ---------------------------------------------------------------- optimizers and what goes with them


class Lion(torch.optim.Optimizer):
    """The authors' program 2 in "Symbolic Discovery of Optimization Algorithms"; torch has none."""

    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                update = torch.sign(momentum * beta1 + p.grad * (1 - beta1))
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * update)
                momentum.mul_(beta2).add_(p.grad * (1 - beta2))


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.02),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    "lion": lambda p: Lion(p, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1),
    "adafactor": lambda p: torch.optim.Adafactor(p, lr=1e-2, weight_decay=0.01),
}


class Small(torch.nn.Module):
    """A convolution, a linear layer and vectors: every shape that an optimizer treats differently."""

    def __init__(self, generator):
        super().__init__()
        self.conv = torch.nn.Conv2d(2, 3, 3, padding=1)
        self.linear = torch.nn.Linear(3, 4)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.5

    def forward(self, x, y):
        return torch.nn.functional.mse_loss(self.linear(self.conv(x).flatten(2).transpose(1, 2)), y)


def batches(generator):
    return torch.randn(STEPS, 2, 2, 4, 4, generator=generator), torch.randn(STEPS, 2, 16, 4, generator=generator)


def train(tensors, name, make, clip=None, accumulation=1, normalized=False):
    generator = seeded(71)
    model = Small(generator)
    if f"small/{next(iter(dict(model.named_parameters())))}" not in tensors:
        tensors.update({f"small/{n}": p.detach().clone() for n, p in model.named_parameters()})
        tensors["small.x"], tensors["small.y"] = batches(seeded(72))
    if normalized:
        torch.nn.utils.weight_norm(model.conv)
        torch.nn.utils.weight_norm(model.linear)
    optimizer = make(list(model.parameters()))
    ema = EMAModel(model.parameters(), decay=0.95)
    losses, norms = [], []
    x, y = tensors["small.x"], tensors["small.y"]
    for step in range(STEPS // accumulation):
        total = 0.0
        for i in range(accumulation):
            loss = model(x[step * accumulation + i], y[step * accumulation + i])
            (loss / accumulation).backward()
            total += loss.item() / accumulation
        losses.append(total)
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clip or float("inf")).item())
        optimizer.step()
        optimizer.zero_grad()
        ema.step(model.parameters())
    tensors[f"{name}/losses"], tensors[f"{name}/norms"] = torch.tensor(losses), torch.tensor(norms)
    for (n, p), average in zip(model.named_parameters(), ema.shadow_params):
        tensors[f"{name}/value/{n}"], tensors[f"{name}/average/{n}"] = p.detach(), average


def arithmetic():
    tensors, numbers = {}, {}
    for name, make in OPTIMIZERS.items():
        train(tensors, name, make)
    train(tensors, "clipped", OPTIMIZERS["adamw"], clip=0.3)
    train(tensors, "accumulated", OPTIMIZERS["adamw"], accumulation=4)
    train(tensors, "normalized", OPTIMIZERS["adam"], normalized=True)
    numbers["rates"] = {name: rates(name) for name in ("constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts")}
    numbers["averages"] = {
        "plain": [EMAModel([], decay=0.97).get_decay(i) for i in range(1, STEPS + 1)],
        "warm_up": [EMAModel([], decay=0.97, use_ema_warmup=True, inv_gamma=2.0, power=0.75, min_decay=0.1, update_after_step=5).get_decay(i) for i in range(1, STEPS + 1)],
    }
    for name, options in SCHEDULES.items():
        scheduler = DDPMScheduler(**options)
        t = torch.arange(1000)
        snr = compute_snr(scheduler, t)
        tensors[f"levels/{name}/signal"] = scheduler.alphas_cumprod**0.5
        tensors[f"levels/{name}/noise"] = (1 - scheduler.alphas_cumprod) ** 0.5
        tensors[f"levels/{name}/snr"] = snr
        # diffusers' train_text_to_image.py, and Choi et al. formula 8
        tensors[f"levels/{name}/min_snr_epsilon"] = torch.stack([snr, 5 * torch.ones_like(t)], 1).min(1)[0] / snr
        tensors[f"levels/{name}/min_snr_v"] = torch.stack([snr, 5 * torch.ones_like(t)], 1).min(1)[0] / (snr + 1)
        tensors[f"levels/{name}/p2_epsilon"] = 1 / (1 + snr) ** 0.5
        # diffusers' train_text_to_image_sdxl.py and others, --huber_schedule
        sigmas = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
        tensors[f"levels/{name}/huber_snr"] = (1 - 0.1) / (1 + sigmas) ** 2 + 0.1
        tensors[f"levels/{name}/huber_exponential"] = torch.exp(math.log(0.1) / 1000 * t)
    for shift in (1.0, 3.0):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        tensors[f"flow/{shift}/sigmas"], tensors[f"flow/{shift}/timesteps"] = scheduler.sigmas[:1000].flip(0), scheduler.timesteps.flip(0)
    write_tensors(OUT / "arithmetic.safetensors", tensors)
    write_json(OUT / "arithmetic.json", numbers)


def rates(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=10, num_training_steps=STEPS, num_cycles=3 if name == "cosine_with_restarts" else 1)
    seen = []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


# ---------------------------------------------------------------- objectives


def conditional_loss(prediction, target, kind, c):
    """diffusers' training programs' conditional_loss, without the mean."""
    if kind == "SQUARED":
        return (prediction - target) ** 2
    if kind == "ABSOLUTE":
        return (prediction - target).abs()
    excess = torch.sqrt((prediction - target) ** 2 + c**2) - c
    return 2 * c * excess if kind == "HUBER" else 2 * excess


def objectives():
    """The network is a 1 x 1 convolution of the noisy sample, so that a loss has gradients."""
    generator = seeded(73)
    tensors = {
        "clean": torch.rand(4, 2, 4, 4, generator=generator) * 2 - 1,
        "noise": torch.randn(4, 2, 4, 4, generator=generator),
        "weight": torch.randn(4, 2, 1, 1, generator=generator) * 0.5,
        "bias": torch.randn(4, generator=generator) * 0.1,
    }
    tensors["clean"][0, 0, 0], tensors["clean"][0, 1, 3] = 1.0, -1.0  # the ends of the range have a likelihood of their own
    levels = torch.tensor([0, 20, 300, 998])
    tensors["levels"] = levels
    scheduler = DDPMScheduler(**SCHEDULES["linear"])
    snr = compute_snr(scheduler, levels)
    huber = (1 - 0.1) / (1 + ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod)[levels] ** 0.5) ** 2 + 0.1
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0).sigmas[:1000].flip(0)[levels].view(4, 1, 1, 1)
    for target in ("EPSILON", "SAMPLE", "V", "FLOW"):
        for kind in ("SQUARED", "ABSOLUTE", "HUBER", "SMOOTH_ABSOLUTE"):
            for weighting in ("uniform", "min_snr"):
                if target == "FLOW" and (weighting != "uniform" or kind in ("HUBER", "SMOOTH_ABSOLUTE")):
                    continue
                weight = tensors["weight"][:2].clone().requires_grad_()
                bias = tensors["bias"][:2].clone().requires_grad_()
                clean, noise = tensors["clean"], tensors["noise"]
                noisy = (1 - flow) * clean + flow * noise if target == "FLOW" else scheduler.add_noise(clean, noise, levels)
                prediction = torch.nn.functional.conv2d(noisy, weight, bias)
                wanted = {"EPSILON": noise, "SAMPLE": clean, "V": scheduler.get_velocity(clean, noise, levels), "FLOW": noise - clean}[target]
                loss = conditional_loss(prediction, wanted, kind, huber.view(4, 1, 1, 1))
                weights = torch.ones(4)
                if weighting == "min_snr":
                    least = snr.clamp(max=5.0)
                    weights = {"EPSILON": least / snr, "SAMPLE": least, "V": least / (snr + 1)}[target]
                loss = (loss.mean(dim=(1, 2, 3)) * weights).mean()
                loss.backward()
                key = f"{target}/{kind}/{weighting}"
                tensors[f"{key}/loss"], tensors[f"{key}/weight"], tensors[f"{key}/bias"] = loss, weight.grad, bias.grad
    for target in ("EPSILON", "SAMPLE", "V"):
        hybrid(tensors, scheduler, levels, target)
    write_tensors(OUT / "objectives.safetensors", tensors)


def hybrid(tensors, scheduler, levels, target):
    """Nichol & Dhariwal 2021: L_simple + 0.001 L_vlb, of torch.distributions; variances as diffusers' DDPMScheduler has them."""
    weight, bias = tensors["weight"].clone().requires_grad_(), tensors["bias"].clone().requires_grad_()
    clean, noise = tensors["clean"], tensors["noise"]
    noisy = scheduler.add_noise(clean, noise, levels)
    output = torch.nn.functional.conv2d(noisy, weight, bias)
    prediction, share = output[:, :2], output[:, 2:]
    wanted = {"EPSILON": noise, "SAMPLE": clean, "V": scheduler.get_velocity(clean, noise, levels)}[target]
    simple = torch.nn.functional.mse_loss(prediction, wanted)
    frozen = prediction.detach()
    bound = 0.0
    for i, t in enumerate(levels.tolist()):
        a = scheduler.alphas_cumprod.double()
        at, before = a[t], a[t - 1] if t > 0 else torch.tensor(1.0, dtype=torch.double)
        beta = 1 - at / before
        image = {"EPSILON": (noisy[i] - (1 - at).sqrt() * frozen[i]) / at.sqrt(), "SAMPLE": frozen[i], "V": at.sqrt() * noisy[i] - (1 - at).sqrt() * frozen[i]}[target]

        def mean(x0):
            return before.sqrt() * beta / (1 - at) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - at) * noisy[i]

        least = ((1 - before) / (1 - at) * beta).log() if t > 0 else ((1 - a[0]) / (1 - a[1]) * (1 - a[1] / a[0])).log()
        share_i = (share[i].double() + 1) / 2
        log_variance = share_i * beta.log() + (1 - share_i) * least
        if t > 0:
            posterior = torch.distributions.Normal(mean(clean[i].double()), (0.5 * least).exp())
            step = torch.distributions.Normal(mean(image.double()), (0.5 * log_variance).exp())
            term = torch.distributions.kl_divergence(posterior, step)
        else:
            def cdf(x):  # the authors' approximation
                return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

            scale = (-0.5 * log_variance).exp()
            centered = clean[i].double() - mean(image.double())
            above, below = cdf(scale * (centered + 1 / 255)), cdf(scale * (centered - 1 / 255))
            inside = torch.where(clean[i] > 0.999, (1 - below).clamp(min=1e-12).log(), (above - below).clamp(min=1e-12).log())
            term = -torch.where(clean[i] < -0.999, above.clamp(min=1e-12).log(), inside)
        bound = bound + term.mean() / math.log(2) / len(levels)
    loss = simple + (0.001 * 1000 * bound).float()
    loss.backward()
    key = f"{target}/hybrid"
    tensors[f"{key}/loss"], tensors[f"{key}/weight"], tensors[f"{key}/bias"] = loss, weight.grad, bias.grad


# ---------------------------------------------------------------- gradients of networks


def summary(gradient):
    """Length, and products with four fixed vectors: what tells two gradients apart without keeping them."""
    flat = gradient.double().flatten()
    index = torch.arange(flat.numel(), dtype=torch.double)
    waves = [torch.cos(index * k + k) for k in (0.7, 1.3, 2.1, 2.9)]
    return torch.stack([flat.norm(), *(torch.dot(flat, wave) for wave in waves)])


def record(tensors, case, loss, parameters):
    tensors[f"{case}/loss"] = loss
    for name, parameter in parameters:
        if parameter.grad is not None:
            tensors[f"{case}/gradient/{name}"] = summary(parameter.grad)


def noisy_batch(tensors, case, generator, shape, scheduler, levels):
    clean, noise = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    tensors[f"{case}/clean"], tensors[f"{case}/noise"] = clean, noise
    return clean, noise, scheduler.add_noise(clean, noise, levels)


def gradients():
    tensors = {}
    scheduler, levels = DDPMScheduler(**SCHEDULES["scaled_linear"]), torch.tensor([40, 700])
    tensors["levels"] = levels
    generator = seeded(74)

    unet2d = UNet2DModel.from_pretrained(FIXTURES / "tiny-ddpm" / "unet", torch_dtype=torch.float32)
    size = (2, unet2d.config.in_channels, 16, 16)
    clean, noise, noisy = noisy_batch(tensors, "unet2d", generator, size, scheduler, levels)
    loss = torch.nn.functional.mse_loss(unet2d(noisy, levels).sample, noise)
    loss.backward()
    record(tensors, "unet2d", loss, unet2d.named_parameters())

    def sd():
        text = CLIPTextModel.from_pretrained(FIXTURES / "tiny-sd1" / "text_encoder", torch_dtype=torch.float32)
        unet = UNet2DConditionModel.from_pretrained(FIXTURES / "tiny-sd1" / "unet", torch_dtype=torch.float32)
        return text, unet

    text, unet = sd()
    vocabulary = text.config.vocab_size
    ids = torch.randint(0, vocabulary - 2, (2, 77), generator=generator)
    ids[:, 30:] = vocabulary - 1
    tensors["ids"] = ids
    clean, noise, noisy = noisy_batch(tensors, "text", generator, (2, unet.config.in_channels, 8, 8), scheduler, levels)
    wanted = scheduler.get_velocity(clean, noise, levels)
    loss = torch.nn.functional.mse_loss(unet(noisy, levels, text(ids).last_hidden_state).sample, wanted)
    loss.backward()
    record(tensors, "text", loss, [*(("text_encoder." + n, p) for n, p in text_names(text)), *(("unet." + n, p) for n, p in unet.named_parameters())])

    lora(tensors, *sd(), ids, noisy, levels, wanted)
    inversion(tensors, *sd(), ids, noisy, levels, wanted)

    vae = AutoencoderKL.from_pretrained(FIXTURES / "tiny-sd1" / "vae", torch_dtype=torch.float32)
    image = torch.rand(2, 3, 16, 16, generator=generator) * 2 - 1
    distribution = vae.encode(image).latent_dist
    noise = torch.randn(distribution.mean.shape, generator=generator)
    tensors["vae/image"], tensors["vae/noise"] = image, noise
    output = vae.decode(distribution.mean + distribution.std * noise).sample
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    edges = 0.0
    for kernel in (sobel, sobel.T):
        planes = (output - image).flatten(0, 1).unsqueeze(1)
        edges = edges + torch.nn.functional.conv2d(planes, kernel.view(1, 1, 3, 3)).abs().mean() / 2
    # kl() sums over a latent's elements
    divergence = distribution.kl().mean() / distribution.mean[0].numel()
    loss = torch.nn.functional.l1_loss(output, image) + 0.5 * torch.nn.functional.mse_loss(output, image) + 0.25 * edges + 0.01 * divergence
    loss.backward()
    record(tensors, "vae", loss, vae.named_parameters())
    write_tensors(OUT / "gradients.safetensors", tensors)


def text_names(text):
    """transformers 5 names a text model's parameters without the prefix that checkpoints have."""
    for name, parameter in text.named_parameters():
        yield (name if name.startswith("text_model.") else "text_model." + name), parameter


def lora(tensors, text, unet, ids, noisy, levels, wanted):
    from peft import LoraConfig

    unet.requires_grad_(False)
    text.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=4, lora_alpha=8, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v", "to_out.0", "conv1"]))
    generator = seeded(75)
    adapters = [(name, p) for name, p in unet.named_parameters() if "lora_" in name]
    for name, parameter in adapters:
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    loss = torch.nn.functional.mse_loss(unet(noisy, levels, text(ids).last_hidden_state).sample, wanted)
    loss.backward()
    renamed = [("unet." + name.replace(".default", ""), p) for name, p in adapters]
    tensors.update({f"lora/weight/{name}": p.detach() for name, p in renamed})
    record(tensors, "lora", loss, renamed)


def inversion(tensors, text, unet, ids, noisy, levels, wanted):
    unet.requires_grad_(False)
    text.requires_grad_(False)
    ids = ids.clone()
    size = text.config.vocab_size
    ids[:, 3], ids[:, 4] = size, size + 1
    tensors["inversion/ids"] = ids
    text.resize_token_embeddings(size + 2, mean_resizing=False)
    rows = torch.randn(2, text.config.hidden_size, generator=seeded(76)) * 0.5
    table = text.get_input_embeddings().weight
    table.data[size:] = rows
    tensors["inversion/rows"] = rows
    table.requires_grad_(True)
    loss = torch.nn.functional.mse_loss(unet(noisy, levels, text(ids).last_hidden_state).sample, wanted)
    loss.backward()
    tensors["inversion/loss"], tensors["inversion/gradient"] = loss, table.grad[size:]


# ---------------------------------------------------------------- ControlNet


def control_net(unet):
    """A ControlNet as in the middle of its training: 1.05 times the UNet's weights, and waves where it has others."""
    network = ControlNetModel.from_unet(unet)
    known = unet.state_dict()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            same = name in known and known[name].shape == parameter.shape
            parameter.copy_(known[name] * 1.05 if same else waves(parameter.shape))
    return network


def control():
    """Gradients of a ControlNet, through a UNet that does not learn."""
    scheduler, levels = DDPMScheduler(**SCHEDULES["scaled_linear"]), torch.tensor([40, 700])
    tensors, generator = {"levels": levels}, seeded(77)
    text = CLIPTextModel.from_pretrained(FIXTURES / "tiny-sd1" / "text_encoder", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(FIXTURES / "tiny-sd1" / "unet", torch_dtype=torch.float32)
    network = control_net(unet)
    text.requires_grad_(False)
    unet.requires_grad_(False)
    vocabulary = text.config.vocab_size
    ids = torch.randint(0, vocabulary - 2, (2, 77), generator=generator)
    ids[:, 30:] = vocabulary - 1
    tensors["ids"] = ids
    clean, noise, noisy = noisy_batch(tensors, "control", generator, (2, 4, 8, 8), scheduler, levels)
    image = 0.5 + 5 * waves((2, 3, 64, 64))
    context = text(ids).last_hidden_state
    down, middle = network(noisy, levels, context, controlnet_cond=image, return_dict=False)
    prediction = unet(noisy, levels, context, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
    loss = torch.nn.functional.mse_loss(prediction, scheduler.get_velocity(clean, noise, levels))
    loss.backward()
    record(tensors, "control", loss, (("controlnet." + n, p) for n, p in network.named_parameters()))
    write_tensors(OUT / "control.safetensors", tensors)


# ---------------------------------------------------------------- mixed precision


def mixed():
    """A tiny UNet under torch's autocast to bfloat16: its loss, and whole gradients of some parameters."""
    tensors = {}
    generator = seeded(76)
    scheduler, levels = DDPMScheduler(**SCHEDULES["scaled_linear"]), torch.tensor([40, 700])
    tensors["levels"] = levels
    unet = UNet2DModel.from_pretrained(FIXTURES / "tiny-ddpm" / "unet", torch_dtype=torch.float32)
    clean, noise, noisy = noisy_batch(tensors, "mixed", generator, (2, unet.config.in_channels, 16, 16), scheduler, levels)
    for name, context in {"mixed": torch.autocast("cpu", dtype=torch.bfloat16), "full": torch.autocast("cpu", enabled=False)}.items():
        unet.zero_grad()
        with context:
            prediction = unet(noisy, levels).sample
        loss = torch.nn.functional.mse_loss(prediction.float(), noise)
        loss.backward()
        tensors[f"{name}/loss"] = loss
        for parameter in ("conv_in.weight", "mid_block.resnets.0.conv1.weight", "up_blocks.2.resnets.0.conv2.weight", "conv_out.bias"):
            tensors[f"{name}/gradient/{parameter}"] = dict(unet.named_parameters())[parameter].grad.clone()
    write_tensors(OUT / "mixed.safetensors", tensors)


# ---------------------------------------------------------------- distillation


def waves(shape):
    """Weights that both sides can make: 0.1 sin(i)."""
    count = math.prod(shape)
    return (0.1 * torch.sin(torch.arange(count, dtype=torch.double))).float().reshape(shape)


def student_of(teacher, **changes):
    """A student whose weights are 1.05 times its teacher's wherever name and shape are the same."""
    student = UNet2DConditionModel.from_config({**teacher.config, **changes})
    known = teacher.state_dict()
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            same = name in known and known[name].shape == parameter.shape
            parameter.copy_(known[name] * 1.05 if same else waves(parameter.shape))
    return student


def scalings(timestep, sigma_data=0.5, timestep_scaling=10.0):
    """diffusers' train_lcm_distill_sd_wds.py: scalings_for_boundary_conditions."""
    scaled = timestep_scaling * timestep
    return sigma_data**2 / (scaled**2 + sigma_data**2), scaled / (scaled**2 + sigma_data**2) ** 0.5


def guidance_embedding(w, size):
    """diffusers' train_lcm_distill_sd_wds.py: guidance_scale_embedding."""
    w = w * 1000.0
    half = size // 2
    steps = torch.exp(torch.arange(half) * -(torch.log(torch.tensor(10000.0)) / (half - 1)))
    angles = w[:, None] * steps[None, :]
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


def column(values):
    return torch.as_tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def distillation():
    tensors = {}
    generator = seeded(75)
    text = CLIPTextModel.from_pretrained(FIXTURES / "tiny-sd1" / "text_encoder", torch_dtype=torch.float32)
    teacher = UNet2DConditionModel.from_pretrained(FIXTURES / "tiny-sd1" / "unet", torch_dtype=torch.float32)
    vocabulary = text.config.vocab_size
    ids = torch.randint(0, vocabulary - 2, (2, 77), generator=generator)
    empty = torch.full((2, 77), vocabulary - 1)
    clean, noise = torch.randn(2, 4, 8, 8, generator=generator), torch.randn(2, 4, 8, 8, generator=generator)
    tensors |= {"ids": ids, "empty_ids": empty, "clean": clean, "noise": noise}
    with torch.no_grad():
        context, without = text(ids).last_hidden_state, text(empty).last_hidden_state
    scheduler = DDPMScheduler(**SCHEDULES["scaled_linear"])
    alphas = scheduler.alphas_cumprod.sqrt()
    sigmas = (1 - scheduler.alphas_cumprod).sqrt()

    def levels(t):
        return column(alphas[t]), column(sigmas[t])

    def said(prediction, x, a, s, kind):
        if kind == "v":
            return a * x - s * prediction, s * x + a * prediction
        return (x - s * prediction) / a, prediction

    # Latent consistency: 50 solver steps, guidance weights 5 and 12.5
    w = torch.tensor([5.0, 12.5])
    embedding = guidance_embedding(w, 16)
    student = student_of(teacher, time_cond_proj_dim=16)
    average = student_of(teacher, time_cond_proj_dim=16)
    with torch.no_grad():
        for parameter in average.parameters():
            parameter.mul_(0.9)
    index = torch.tensor([0, 30])
    solver = torch.arange(1, 51) * 20 - 1
    start, end = solver[index], (solver[index] - 20).clamp(min=0)
    (a, s), (a_end, s_end) = levels(start), levels(end)
    noisy = scheduler.add_noise(clean, noise, start)
    for kind in ("SQUARED", "SMOOTH_ABSOLUTE"):
        student.zero_grad()
        skip, out = (column(x) for x in scalings(start))
        answer = skip * noisy + out * said(student(noisy, start, context, timestep_cond=embedding).sample, noisy, a, s, "epsilon")[0]
        with torch.no_grad():
            (x, e), (x0, e0) = (said(teacher(noisy, start, c).sample, noisy, a, s, "epsilon") for c in (context, without))
            x, e = x + column(w) * (x - x0), e + column(w) * (e - e0)
            before = a_end * x + s_end * e
            skip, out = (column(x) for x in scalings(end))
            wanted = skip * before + out * said(average(before, end, context, timestep_cond=embedding).sample, before, a_end, s_end, "epsilon")[0]
        loss = conditional_loss(answer, wanted, kind, 0.001).mean()
        loss.backward()
        record(tensors, f"consistency/{kind}", loss, (("unet." + n, p) for n, p in student.named_parameters()))

    # Progressive: 4 steps of the student, Salimans & Ho's algorithm 2 in the discrete levels of DDIM, trailing
    student = student_of(teacher)
    for kind in ("v", "sample"):
        student.zero_grad()
        losses = []
        for i, step in enumerate((1, 3)):
            t, half = torch.tensor([step * 250 - 1]), torch.tensor([step * 250 - 126])
            a, s = levels(t)
            a_half, s_half = levels(half)
            a_end, s_end = levels(t - 250) if step > 1 else (torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
            z = a * clean[i : i + 1] + s * noise[i : i + 1]

            def split(prediction, x, a, s):
                return said(prediction, x, a, s, "v") if kind == "v" else (prediction, (x - a * prediction) / s)

            with torch.no_grad():
                x, e = split(teacher(z, t, context[i : i + 1]).sample, z, a, s)
                z_half = a_half * x + s_half * e
                x, e = split(teacher(z_half, half, context[i : i + 1]).sample, z_half, a_half, s_half)
                z_end = a_end * x + s_end * e
                image = (z_end - s_end / s * z) / (a_end - s_end / s * a)
                rest = (z - a * image) / s
            prediction = student(z, t, context[i : i + 1]).sample
            snr = (a / s) ** 2
            if kind == "v":
                losses.append(((prediction - (a * rest - s * image)) ** 2).mean() * (snr.clamp(min=1) / (snr + 1)).item())
            else:
                losses.append(((prediction - image) ** 2).mean() * snr.clamp(min=1).item())
        loss = sum(losses) / 2
        loss.backward()
        record(tensors, f"progressive/{kind}", loss, (("unet." + n, p) for n, p in student.named_parameters()))

    # Guidance: Meng et al., stage one
    t = torch.tensor([40, 700])
    noisy = scheduler.add_noise(clean, noise, t)
    student = student_of(teacher, time_cond_proj_dim=16)
    with torch.no_grad():
        conditional = teacher(noisy, t, context).sample
        guided = conditional + column(w) * (conditional - teacher(noisy, t, without).sample)
    loss = torch.nn.functional.mse_loss(student(noisy, t, context, timestep_cond=embedding).sample, guided)
    loss.backward()
    record(tensors, "guidance", loss, (("unet." + n, p) for n, p in student.named_parameters()))

    # Pruned: BK-SDM, by hooks on what ends a block
    student = student_of(teacher, block_out_channels=(16, 16, 16, 32))
    seen = {}

    def watch(name, model):
        for path, module in model.named_modules():
            if path.endswith(("downsamplers.0.conv", "upsamplers.0.conv")):
                module.register_forward_hook(lambda _, __, output, path=path: seen.__setitem__((name, path), output))

    watch("student", student), watch("teacher", teacher)
    answer = student(noisy, t, context).sample
    with torch.no_grad():
        taught = teacher(noisy, t, context).sample
    blocks = [(output, seen["teacher", path]) for (name, path), output in seen.items() if name == "student"]
    blocks = [torch.nn.functional.mse_loss(ours, theirs) for ours, theirs in blocks if ours.shape == theirs.shape]
    assert len(blocks) == 4
    mse = torch.nn.functional.mse_loss
    loss = mse(answer, noise) + 0.5 * mse(answer, taught) + 0.25 * sum(blocks) / len(blocks)
    loss.backward()
    record(tensors, "pruned", loss, (("unet." + n, p) for n, p in student.named_parameters()))
    write_tensors(OUT / "distillation.safetensors", tensors)


if __name__ == "__main__":
    configure_torch()
    torch.set_grad_enabled(True)
    arithmetic()
    objectives()
    gradients()
    control()
    mixed()
    distillation()
    print(json.dumps({p.name: p.stat().st_size for p in sorted(OUT.iterdir())}))
