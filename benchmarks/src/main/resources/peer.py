#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""The peer in Python: diffusers, or torch.jit.load of an archive, told what to do by lines of JSON.

Each line on stdin is a command, each line on stdout its answer: {"ok": ...} or {"error": "..."}. The peer takes the time
itself, so that what the pipe costs is not counted against it.
"""

import json
import sys
import time
import traceback

ANSWERS = sys.stdout
# A library that prints would break the protocol.
sys.stdout = sys.stderr

import numpy
import torch

torch.set_grad_enabled(False)
DTYPES = {"FLOAT32": torch.float32, "FLOAT16": torch.float16, "BFLOAT16": torch.bfloat16}
opened = {}


def synchronise(device):
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds(device, work):
    synchronise(device)
    begin = time.perf_counter()
    result = work()
    synchronise(device)
    return time.perf_counter() - begin, result


def hello(threads):
    torch.set_num_threads(threads)
    versions = {"Python": sys.version.split()[0], "torch": torch.__version__}
    try:
        import diffusers
        import transformers

        diffusers.utils.logging.set_verbosity_error()
        versions["diffusers"] = diffusers.__version__
        versions["transformers"] = transformers.__version__
    except ImportError:
        pass
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    return {"versions": versions, "gpu": gpu}


def close(name):
    opened.pop(name, None)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def open_pipeline(name, folder, dtype, device):
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=DTYPES[dtype], local_files_only=True).to(device)
    pipeline.set_progress_bar_config(disable=True)
    opened[name] = pipeline


def generate(name, prompts, seeds, steps, guidance, width, height, output):
    pipeline = opened[name]
    device = str(pipeline.device)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    took, result = seconds(
        device,
        lambda: pipeline(
            prompt=prompts,
            generator=generators,
            num_inference_steps=steps,
            guidance_scale=guidance,
            width=width,
            height=height,
            output_type="np",
        ).images,
    )
    if output:
        # As the other side has it: channels before rows.
        numpy.ascontiguousarray(result.transpose(0, 3, 1, 2)).astype("<f4").tofile(output)
    return took


def open_concat(name, folder, dtype, device):
    """A model that sees a picture as channels behind the noisy sample: diffusers has its network and scheduler, no pipeline."""
    from diffusers import DDIMScheduler, UNet2DModel

    with open(f"{folder}/model_index.json") as file:
        index = json.load(file)
    network = UNet2DModel.from_pretrained(f"{folder}/unet", torch_dtype=DTYPES[dtype], local_files_only=True).to(device).eval()
    opened[name] = (index, network, DDIMScheduler.from_pretrained(f"{folder}/scheduler", local_files_only=True), device)


def generate_concat(name, image, shape, seeds, steps, output):
    """The loop of diffusers' DDIMPipeline around it; the samples are of one image, [channels, height, width], 0..1."""
    index, network, scheduler, device = opened[name]
    resize = torch.nn.functional.interpolate
    picture = torch.from_numpy(numpy.fromfile(image, "<f4").reshape(1, *shape)).to(device)
    enlarges = index["sample_target"] == "residual"
    size = [index["scale_factor"] * side for side in shape[1:]] if enlarges else network.config.sample_size

    def work():
        seen = 2 * resize(picture, size=size, mode=index["image_resampling"], antialias=True) - 1
        condition = seen.expand(len(seeds), -1, -1, -1)
        noise = (1, network.config.out_channels, *condition.shape[2:])
        sample = torch.cat([torch.randn(noise, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds]).to(device)
        scheduler.set_timesteps(steps)
        for t in scheduler.timesteps:
            prediction = network(torch.cat([sample, condition], 1).to(network.dtype), t).sample.float()
            sample = scheduler.step(prediction, t, sample).prev_sample
        result = (sample / index["residual_scale"] + seen if enlarges else sample) / 2 + 0.5
        if not enlarges:
            result = resize(result, size=shape[1:], mode=index["image_resampling"], antialias=True)
        return result.clamp(0, 1).cpu().numpy()

    took, result = seconds(device, work)
    if output:
        result.astype("<f4").tofile(output)
    return took


def unet_inputs(batch, channels, height, width, tokens, context, timestep, dtype, device):
    """Sample, timesteps and, for a network that sees tokens, their embeddings: the numbers that the other side draws."""
    generator = torch.Generator("cpu").manual_seed(1)
    inputs = [torch.randn(batch, channels, height, width, generator=generator).to(device, dtype)]
    inputs.append(torch.full((batch,), timestep).to(device))
    if context:
        inputs.append(torch.randn(batch, tokens, context, generator=generator).to(device, dtype))
    return inputs


def unet(folder, dtype, device):
    import diffusers

    with open(f"{folder}/config.json") as file:
        network = getattr(diffusers, json.load(file)["_class_name"])
    loaded = network.from_pretrained(folder, torch_dtype=DTYPES[dtype], local_files_only=True).to(device).eval()
    return lambda *inputs: loaded(*inputs, return_dict=False)[0], loaded


def open_unet(name, folder, dtype, device, compiled):
    call, network = unet(folder, dtype, device)
    opened[name] = (torch.compile(call, dynamic=False) if compiled else call, DTYPES[dtype], device)


def open_onnx(name, path):
    """A model that the other side wrote, whose weights are in files named from the root."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", "/")
    with open(path, "rb") as file:
        session = onnxruntime.InferenceSession(file.read(), options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def call(*inputs):
        feed = {each: tensor.numpy() for each, tensor in zip(names, inputs)}
        return torch.from_numpy(session.run(None, feed)[0])

    opened[name] = (call, torch.float32, "cpu")


def open_openvino(name, folder, dtype, device, **shapes):
    """diffusers' network as OpenVINO converts it, for inputs of any size; its weights are float32, the hint says in what it computes."""
    import openvino

    call, network = unet(folder, "FLOAT32", device)

    class Call(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, *inputs):
            return self.network(*inputs, return_dict=False)[0]

    example = tuple(unet_inputs(**shapes, dtype=torch.float32, device=device))
    model = openvino.convert_model(Call(), example_input=example)
    hint = {"FLOAT32": "f32", "BFLOAT16": "bf16"}[dtype]
    settings = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.compile_model(model, "CPU", settings)
    opened[name] = (lambda *inputs: torch.from_numpy(compiled([each.numpy() for each in inputs])[0]), torch.float32, device)


def call_unet(name, output, calls=1, uncounted=0, **shapes):
    """Seconds of one of so many calls, after some that do not count; the result of the last is kept."""
    network, dtype, device = opened[name]
    inputs = unet_inputs(**shapes, dtype=dtype, device=device)

    def work():
        for _ in range(calls):
            result = network(*inputs)
        return result

    for _ in range(uncounted):
        network(*inputs)
    took, result = seconds(device, work)
    took /= calls
    if output:
        result.float().cpu().numpy().astype("<f4").tofile(output)
    return took


def open_training(name, folder):
    from diffusers import UNet2DModel
    from diffusers.training_utils import EMAModel

    with torch.enable_grad():
        network = UNet2DModel.from_config(UNet2DModel.load_config(folder)).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.0)
        opened[name] = (network, optimizer, EMAModel(network.parameters(), decay=0.999))


def train(name, batch, height, width, steps):
    """Seconds of so many steps."""
    network, optimizer, average = opened[name]
    channels, seen = network.config.out_channels, network.config.in_channels

    def work():
        for _ in range(steps):
            clean, noise = torch.randn(2, batch, channels, height, width)
            signal = torch.rand(batch, 1, 1, 1)
            noisy = signal * clean + (1 - signal**2).sqrt() * noise
            condition = torch.randn(batch, seen - channels, height, width)
            prediction = network(torch.cat([noisy, condition], 1), torch.randint(0, 1000, (batch,))).sample
            torch.nn.functional.mse_loss(prediction, noise).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            average.step(network.parameters())

    with torch.enable_grad():
        return seconds("cpu", work)[0]


def open_captions(name, folder, tiny):
    """A BLIP of random weights that never ends a text by itself; made where it is not there."""
    import os

    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    if not os.path.exists(f"{folder}/model.safetensors"):
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [f"w{i}" for i in range(30524 - 6)] + ["[DEC]"]
        tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)}, additional_special_tokens=["[DEC]"])
        size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4} if tiny else {"num_attention_heads": 12}
        side = {"image_size": 32, "patch_size": 8} if tiny else {}
        config = BlipConfig(
            vision_config=size | side,
            text_config=size
            | {"encoder_hidden_size": 32 if tiny else 768, "bos_token_id": len(words) - 1, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0},
        )
        torch.manual_seed(1)
        model = BlipForConditionalGeneration(config)
        for parameter_name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.05)
        model.text_decoder.cls.predictions.bias[:5] = -1e3
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        BlipImageProcessorPil(size={"height": 32, "width": 32} if tiny else {"height": 384, "width": 384}).save_pretrained(folder)
    tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    opened[name] = {"model": BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval(), "tokenizer": tokenizer}


def see_images(name, path, batch, side):
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    pixels = torch.from_numpy(numpy.fromfile(path, "<f4").reshape(batch, 3, side, side).copy())
    pixels = (pixels - torch.tensor(OPENAI_CLIP_MEAN)[:, None, None]) / torch.tensor(OPENAI_CLIP_STD)[:, None, None]
    opened[name]["pixels"] = pixels
    opened[name]["states"] = opened[name]["model"].vision_model(pixels)[0]


def write_captions(name, tokens, whole):
    """Seconds; without `whole`, of what BLIP's generate does after it has encoded the images."""
    model, pixels, states = (opened[name][key] for key in ("model", "pixels", "states"))
    text = model.config.text_config

    def work():
        if whole:
            return model.generate(pixel_values=pixels, max_new_tokens=tokens)
        begin = torch.full((len(pixels), 1), text.bos_token_id)
        return model.text_decoder.generate(
            input_ids=begin,
            attention_mask=torch.ones_like(begin),
            eos_token_id=text.sep_token_id,
            pad_token_id=text.pad_token_id,
            encoder_hidden_states=states,
            encoder_attention_mask=torch.ones(states.shape[:-1], dtype=torch.long),
            max_new_tokens=tokens,
        )

    took, opened[name]["ids"] = seconds("cpu", work)
    return took


def read_captions(name):
    return [opened[name]["tokenizer"].decode(ids, skip_special_tokens=True) for ids in opened[name]["ids"].tolist()]


COMMANDS = {
    each.__name__: each
    for each in (
        hello,
        close,
        open_pipeline,
        generate,
        open_concat,
        generate_concat,
        open_unet,
        open_onnx,
        open_openvino,
        call_unet,
        open_training,
        train,
        open_captions,
        see_images,
        write_captions,
        read_captions,
    )
}


def main():
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"ok": COMMANDS[command.pop("do")](**command)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        ANSWERS.write(json.dumps(answer) + "\n")
        ANSWERS.flush()


main()
