#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""tiny-sd1 and tiny-sd2: whole Stable Diffusion folders with random weights, their networks' goldens and their pictures."""

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from fixture_tools import (
    FIXTURES,
    Goldens,
    Recorder,
    depth_at_most,
    fresh_folder,
    least_visible_parameters,
    randomize,
    rewrite_weights,
    round_to_half,
    scale,
    seeded,
    write_json,
    write_tensors,
)
from tiny_tokenizer import write_tokenizer

SCHEDULERS = {
    cls.__name__: cls
    for cls in (
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
        LCMScheduler,
        PNDMScheduler,
    )
}

# As in Stable Diffusion 1.5's folder: no timestep_spacing and no prediction_type, so that every class takes its own default.
SD1_SCHEDULER = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}

# As in Stable Diffusion 2.1's folder, PNDM's leftover key included.
SD2_SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "_diffusers_version": "0.8.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}

LONG_PROMPT = ", ".join(
    f"a {color} {thing} beside the {place}"
    for color, thing, place in zip(
        ["red", "blue", "green", "golden", "purple", "tiny", "huge", "wooden", "metal", "old", "dark", "bright"],
        ["cat", "rocket", "tree", "dragon", "robot", "castle", "piano", "fox", "whale", "teapot", "knight", "balloon"],
        ["sea", "forest", "city", "house", "bridge", "garden", "desert", "island", "river", "mountain", "street", "field"],
    )
)

TOKENIZER_TEXTS = [
    "",
    "a red apple on a blue background",
    "A RED   Apple\ton a\nblue background ",
    "it's the cat's piano, they're 42!! don't, I'd, we'll, I'm, you've",
    "café naïve Ünïcödé",
    "cafe\u0301 with a combining accent",
    "猫 and 狗, こんにちは",
    "smile 😀 rocket 🚀🚀",
    "xylophone qwertyuiop zzz",
    "a-b_c/d\\e (f) [g] {h} <i> |j| ~k^ `l` \"m\" #n $5 %6 &7 *8 +9 =0",
    "1234567890 3.14159 1,000,000",
    "before<|endoftext|>after <|startoftext|> end",
    "wait! stop!! really?!",
    "non\u00a0breaking and zero\u200bwidth",
    LONG_PROMPT,
    "cat " * 75,
    "cat " * 76,
    "!" * 100,
]


def text_encoder(vocabulary, **config):
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=0,
            eos_token_id=2,  # wrong, and so in every old folder: the end token is then found as the highest id
            pad_token_id=1,
            **config,
        )
    )


def unet(**config):
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 16, 24, 32),
        layers_per_block=1,
        cross_attention_dim=32,
        norm_num_groups=8,
        **config,
    )


def autoencoder(**config):
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 16, 24),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        scaling_factor=0.18215,
        **config,
    )


def calibrate_unet(model, deviation):
    """Brings the prediction to a standard deviation below the noise's own 1, so that sampling does not run away."""
    generator = seeded(90)
    sample = torch.randn(4, model.config.in_channels, 8, 8, generator=generator)
    context = torch.randn(4, 77, model.config.cross_attention_dim, generator=generator)
    out = model(sample, torch.tensor([1, 250, 500, 981]), context).sample
    scale(model.conv_out, deviation / out.std().item())


def calibrate_autoencoder(model, size=8):
    """Keeps most decoded values strictly inside (-1, 1), and encoded logvars where exp() of them matters."""
    generator = seeded(91)
    decoded = model.decode(torch.randn(4, model.config.latent_channels, size, size, generator=generator) * 5).sample
    scale(model.decoder.conv_out, 0.35 / decoded.std().item())
    picture = torch.rand(4, 3, size * 8, size * 8, generator=generator) * 2 - 1
    encoded = model.encode(picture).latent_dist.parameters
    scale(model.quant_conv, 2.0 / encoded.std().item())


def write_pipeline_folder(folder, seed, scheduler_config, pad_token, text_config, unet_config, vae_config, deviation, half):
    fresh_folder(folder)
    vocabulary = write_tokenizer(folder / "tokenizer", pad_token)
    encoder = randomize(text_encoder(vocabulary, **text_config).eval(), seed)
    net = randomize(unet(**unet_config).eval(), seed + 1)
    vae = randomize(autoencoder(**vae_config).eval(), seed + 2)
    calibrate_unet(net, deviation)
    calibrate_autoencoder(vae)
    for model in (encoder, net, vae) if half else ():
        round_to_half(model)
    scheduler = {cls.__name__: cls for cls in (PNDMScheduler, DDIMScheduler)}[scheduler_config["_class_name"]]
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        unet=net,
        scheduler=scheduler.from_config(scheduler_config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)

    # transformers 5 saves other files and other key names than the folders on Hugging Face have: bring back the usual ones.
    fresh_folder(folder / "tokenizer")
    write_tokenizer(folder / "tokenizer", pad_token)
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config)
    dtype = torch.float16 if half else None
    rewrite_weights(
        folder / "text_encoder" / "model.safetensors",
        rename=lambda name: "text_model." + name,
        dtype=dtype,
        extra=None if half else {"text_model.embeddings.position_ids": torch.arange(77).unsqueeze(0)},
    )
    reloaded = load(folder).text_encoder.state_dict()
    if any(not torch.equal(reloaded[key], value) for key, value in encoder.state_dict().items()):
        raise AssertionError(f"{folder.name}: the text encoder's weights do not come back under the usual key names")
    for component in ("unet", "vae"):
        rewrite_weights(folder / component / "diffusion_pytorch_model.safetensors", dtype=dtype)


def load(folder):
    """The folder as a user of diffusers gets it: goldens come from the files, never from the models that wrote them."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def network_goldens(folder, pipe, dtype):
    name = folder.name
    root = folder.parent
    generator = seeded(7)
    entries = []

    texts = ["a red apple on a blue background", "", LONG_PROMPT]
    ids = pipe.tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    goldens = Goldens(
        f"{name}/text_encoder", "CLIPTextModel", f"{name}/text_encoder/model.safetensors", dtype, f"{name}/golden/text_encoder.safetensors"
    )
    out = pipe.text_encoder(ids, output_hidden_states=True)
    goldens.case(
        "prompts",
        "forward",
        {"input_ids": ids},
        {"last_hidden_state": out.last_hidden_state, "pooler_output": out.pooler_output},
        {f"hidden_states.{i}": h for i, h in enumerate(out.hidden_states)},
    )
    entries.append(goldens.write(root))
    context = out.last_hidden_state
    pair = context[:2]

    goldens = Goldens(
        f"{name}/unet", "UNet2DConditionModel", f"{name}/unet/diffusion_pytorch_model.safetensors", dtype, f"{name}/golden/unet.safetensors"
    )
    for case, timestep, (height, width), record in (
        ("t1", 1, (8, 8), False),
        ("t500", 500, (8, 8), True),
        ("t981", 981, (8, 8), False),
        ("wide", 500, (8, 16), False),
        ("odd", 37, (8, 12), False),
        ("odd_tall", 741, (15, 9), False),
    ):
        sample = torch.randn(2, 4, height, width, generator=generator)
        with Recorder(pipe.unet, depth_at_most(2, "downsamplers", "upsamplers", "time_embedding") if record else lambda n: False) as seen:
            result = pipe.unet(sample, timestep, pair).sample
        goldens.case(
            case,
            "forward",
            {"sample": sample, "timestep": torch.tensor(float(timestep)), "encoder_hidden_states": pair},
            {"sample": result},
            seen.seen,
        )
    # rows at different timesteps, as a step batch has them; fractional ones, as Euler's linspace has them
    sample = torch.randn(3, 4, 8, 8, generator=generator)
    timesteps = torch.tensor([1.0, 499.5, 874.125])
    goldens.case(
        "mixed_timesteps",
        "forward",
        {"sample": sample, "timestep": timesteps, "encoder_hidden_states": context},
        {"sample": pipe.unet(sample, timesteps, context).sample},
    )
    entries.append(goldens.write(root))

    goldens = Goldens(
        f"{name}/vae", "AutoencoderKL", f"{name}/vae/diffusion_pytorch_model.safetensors", dtype, f"{name}/golden/vae.safetensors"
    )
    wanted = depth_at_most(3, "resnets", "downsamplers", "upsamplers")
    for case, batch, (height, width), record in (("square", 1, (32, 32), True), ("batch", 2, (48, 32), False), ("wide", 1, (32, 72), False)):
        picture = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
        with Recorder(pipe.vae, wanted if record else lambda n: False) as seen:
            dist = pipe.vae.encode(picture).latent_dist
        goldens.case(f"encode_{case}", "encode", {"x": picture}, {"mean": dist.mean, "logvar": dist.logvar}, seen.seen)
        latents = torch.randn(batch, 4, height // 8, width // 8, generator=generator) * 5
        with Recorder(pipe.vae, wanted if record else lambda n: False) as seen:
            decoded = pipe.vae.decode(latents).sample
        goldens.case(f"decode_{case}", "decode", {"z": latents}, {"sample": decoded}, seen.seen)
    entries.append(goldens.write(root))
    return entries


def text_to_image_cases():
    def case(name, scheduler, steps, seed, guidance=7.5, prompt="a red apple on a blue background", negative=None, width=64, height=64):
        return {
            "name": name,
            "prompt": prompt,
            "negativePrompt": negative,
            "seed": seed,
            "scheduler": scheduler,
            "steps": steps,
            "guidanceScale": guidance,
            "width": width,
            "height": height,
        }

    return [
        case("ddim", "DDIMScheduler", 8, 1),
        case("ddim_without_guidance", "DDIMScheduler", 5, 2, guidance=1.0),
        case("ddim_guidance_below_1", "DDIMScheduler", 4, 3, guidance=0.5, negative="ignored without guidance"),
        case("ddim_long_prompt", "DDIMScheduler", 4, 4, prompt=LONG_PROMPT, guidance=5.0),
        case("ddim_one_step", "DDIMScheduler", 1, 5),
        case("pndm", "PNDMScheduler", 7, 6, negative="blurry, low quality"),
        case("pndm_three_steps", "PNDMScheduler", 3, 7, guidance=1.0),
        case("euler", "EulerDiscreteScheduler", 8, 8, negative="blurry, low quality"),
        case("euler_wide", "EulerDiscreteScheduler", 5, 9, width=96, height=64, guidance=3.0),
        case("euler_empty_prompt", "EulerDiscreteScheduler", 4, 10, prompt="", negative="a large cat face"),
        case("euler_ancestral", "EulerAncestralDiscreteScheduler", 8, 11),
        case("euler_ancestral_tall", "EulerAncestralDiscreteScheduler", 4, 12, width=64, height=96, guidance=1.0),
        case("dpmpp_2m", "DPMSolverMultistepScheduler", 10, 13, negative=""),
        case("dpmpp_2m_four_steps", "DPMSolverMultistepScheduler", 4, 14, guidance=2.0),
        case("ddpm", "DDPMScheduler", 6, 15),
        case("ddpm_seed_above_32_bits", "DDPMScheduler", 4, 2**32 + 15, guidance=1.0),
        case("lcm", "LCMScheduler", 4, 16, guidance=1.0),
        case("lcm_guided", "LCMScheduler", 6, 17, guidance=1.5, negative="blurry, low quality"),
    ]


def run_case(pipe, config, case, latents=None):
    """One picture and every latent on the way to it, the start included."""
    pipe.scheduler = SCHEDULERS[case["scheduler"]].from_config(config)
    generator = seeded(case["seed"])
    trajectory = []

    def keep(p, step, timestep, values):
        trajectory.append(values["latents"][0].clone())
        return {}

    drawn = torch.randn(1, 4, case["height"] // 8, case["width"] // 8, generator=generator)
    image = pipe(
        case["prompt"],
        negative_prompt=case["negativePrompt"],
        num_inference_steps=case["steps"],
        guidance_scale=case["guidanceScale"],
        width=case["width"],
        height=case["height"],
        generator=seeded(case["seed"]) if latents is None else generator,
        latents=None if latents is None else latents(drawn),
        output_type="np",
        callback_on_step_end=keep,
    ).images[0]
    return torch.from_numpy(image).permute(2, 0, 1), drawn[0], torch.stack(trajectory)


def report_visibility(folder, pipe):
    """Prints which parameters the goldens would notice least, were they wrong."""
    generator = seeded(17)
    ids = pipe.tokenizer([LONG_PROMPT], padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    context = pipe.text_encoder(ids).last_hidden_state
    latents = torch.randn(1, 4, 16, 16, generator=generator)  # 8 x 8 would leave the middle one position, and attention idle
    picture = torch.rand(1, 3, 32, 32, generator=generator) * 2 - 1
    for name, model, run in (
        ("text_encoder", pipe.text_encoder, lambda: pipe.text_encoder(ids).last_hidden_state),
        ("unet", pipe.unet, lambda: pipe.unet(latents, 500, context).sample),
        (
            "vae",
            pipe.vae,
            lambda: torch.cat([pipe.vae.encode(picture).latent_dist.parameters.flatten(), pipe.vae.decode(latents).sample.flatten()]),
        ),
    ):
        print(f"{folder.name} {name}: least visible parameters {', '.join(least_visible_parameters(model, run))}")


def picture_goldens(folder, pipe, report):
    config = pipe.scheduler.config
    tensors, cases = {}, []
    for case in text_to_image_cases():
        image, noise, trajectory = run_case(pipe, config, case)
        inside = ((image > 0.002) & (image < 0.998)).float().mean().item()
        if inside < 0.8 or image.std() < 0.03:
            raise AssertionError(f"{folder.name} {case['name']}: {inside:.0%} inside (0,1), std {image.std():.3f}: nothing to compare")
        names = {"image": image, "noise": noise, "latents": trajectory}
        tensors.update({f"{case['name']}/{key}": value for key, value in names.items()})
        cases.append({**case, "networkCalls": len(trajectory), "tensors": {key: f"{case['name']}/{key}" for key in names}})
        if report:
            moved = lambda drawn: drawn + 1e-6 * torch.randn(drawn.shape, generator=seeded(1))  # noqa: E731
            again, _, far = run_case(pipe, config, case, moved)
            print(
                f"{folder.name:9} {case['name']:24} inside {inside:4.0%} mean {image.mean():.3f} std {image.std():.3f} "
                f"latents {trajectory[-1].std():7.3f}  1e-6 of noise moves the picture by {(again - image).abs().max():.1e}"
            )
    write_tensors(folder / "golden" / "pictures.safetensors", tensors)
    write_json(
        folder / "golden" / "cases.json",
        {
            "folder": folder.name,
            "pipeline": "StableDiffusionPipeline",
            "tensorsFile": "pictures.safetensors",
            "layout": {
                "image": "[3, height, width], float32, 0..1, before any rounding to 8 bits",
                "noise": "[4, height/8, width/8]: the first draw of torch.Generator('cpu').manual_seed(seed), not yet times init_noise_sigma",
                "latents": "[networkCalls, 4, height/8, width/8]: the sample after each scheduler step",
            },
            "cases": cases,
        },
    )


def token_goldens(folder, pipe):
    rows = []
    for text in TOKENIZER_TEXTS:
        ids = pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids
        longest = pipe.tokenizer(text).input_ids
        rows.append({"text": text, "ids": ids, "truncated": len(longest) > 77})
    write_json(folder / "golden" / "tokens.json", rows)


def make(report=False, out=FIXTURES):
    networks = []
    for name, arguments in (
        (
            "tiny-sd1",
            dict(
                seed=100,
                scheduler_config=SD1_SCHEDULER,
                pad_token="<|endoftext|>",
                text_config=dict(num_hidden_layers=2, hidden_act="quick_gelu", projection_dim=32),
                unet_config=dict(attention_head_dim=8),
                vae_config={},
                deviation=0.7,
                half=False,
            ),
        ),
        (
            "tiny-sd2",
            dict(
                seed=200,
                scheduler_config=SD2_SCHEDULER,
                pad_token="!",
                text_config=dict(num_hidden_layers=3, hidden_act="gelu", projection_dim=24),
                unet_config=dict(
                    attention_head_dim=[2, 4, 8, 8],
                    use_linear_projection=True,
                    upcast_attention=True,
                    dual_cross_attention=False,
                    num_class_embeds=None,
                    only_cross_attention=False,
                ),
                vae_config={},
                deviation=0.5,  # a v-prediction moves the sample more than a noise prediction of the same size
                half=True,
            ),
        ),
    ):
        folder = out / name
        write_pipeline_folder(folder, **arguments)
        pipe = load(folder)
        networks += network_goldens(folder, pipe, "F16" if arguments["half"] else "F32")
        token_goldens(folder, pipe)
        if report:
            report_visibility(folder, load(folder))
        picture_goldens(folder, load(folder), report)
    return networks
