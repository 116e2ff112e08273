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


def unet_inputs(batch, channels, latent, tokens, context, timestep, dtype, device):
    generator = torch.Generator("cpu").manual_seed(1)
    sample = torch.randn(batch, channels, latent, latent, generator=generator)
    timestep = torch.full((batch,), timestep)
    words = torch.randn(batch, tokens, context, generator=generator)
    return sample.to(device, dtype), timestep.to(device), words.to(device, dtype)


def open_unet(name, folder, dtype, device, compiled):
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel.from_pretrained(folder, torch_dtype=DTYPES[dtype], local_files_only=True).to(device).eval()
    if compiled:
        network = torch.compile(network)
    opened[name] = (lambda *inputs: network(*inputs, return_dict=False)[0], DTYPES[dtype], device)


def open_archive(name, path, device):
    """An archive that the other side wrote; its inputs and its result are float32 whatever its weights are."""
    network = torch.jit.load(path, map_location=device).eval()
    # As the other side calls it.
    torch._C._set_graph_executor_optimize(False)
    opened[name] = (network, torch.float32, device)


def call_unet(name, batch, channels, latent, tokens, context, timestep, output):
    network, dtype, device = opened[name]
    inputs = unet_inputs(batch, channels, latent, tokens, context, timestep, dtype, device)
    took, result = seconds(device, lambda: network(*inputs))
    if output:
        result.float().cpu().numpy().astype("<f4").tofile(output)
    return took


COMMANDS = {
    each.__name__: each for each in (hello, close, open_pipeline, generate, open_unet, open_archive, call_unet)
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
