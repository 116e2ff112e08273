#
# Copyright the Flink Diffusion authors
# SPDX-License-Identifier: Apache-2.0
#

"""What works on a GPU machine, and how fast: gpu-check's program.

It needs Python and torch, and the pack that it lies in (benchmarks/gpu-check pack). Each section is a process of its own,
so that one that crashes, hangs or breaks the GPU's context takes no other with it.

It is one long file on purpose: it is copied to a rented machine and runs there without anything of this project, and a section
starts the same file again.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import zipfile
import zlib

PACK = os.path.dirname(os.path.abspath(__file__))
STEPS = 20
# In this order: what matters most first, should the time end. Weights share out the time that is left.
SECTIONS = [
    ("machine", 1, "1 the machine", 8),
    ("orientation", 5, "5 torch by itself, and diffusers where it is", 12),
    ("archives", 2, "2 archives by torch.jit.load", 45),
    ("trajectory", 6, "6 a trajectory's step loop", 14),
    ("java", 3, "3 DJL in Java", 20),
    ("onnx", 4, "4 ONNX Runtime", 16),
]
# Largest difference that rounding explains, as a part of the reference's largest number.
LIMITS = {"float32": 1e-3, "float16": 3e-2}


class NotHere(Exception):
    """What a section needs is not on this machine."""


class Wrong(Exception):
    """A section found something that does not work."""


class Section:
    """What a section's process knows, and how it reports."""

    def __init__(self, options):
        self.device = options.device
        self.small = options.small
        self.work = options.work
        self.onnxruntime_gpu = options.onnxruntime_gpu
        self.ends = time.monotonic() + options.seconds
        self.events = open(options.events, "a")
        self.wrong = []
        with open(os.path.join(PACK, "manifest.json")) as file:
            self.manifest = json.load(file)

    def event(self, kind, **content):
        self.events.write(json.dumps({"kind": kind, **content}) + "\n")
        self.events.flush()

    def say(self, text, **fact):
        print("  " + text, flush=True)
        self.event("fact", text=text, **fact)

    def fail(self, text):
        """Something is wrong; the section goes on."""
        self.wrong.append(text)
        print("  WRONG: " + text, flush=True)
        self.event("wrong", text=text)

    def has(self, seconds, what):
        """Whether there is time for something; else it is said to be left out."""
        if time.monotonic() + seconds < self.ends:
            return True
        print("  left out for time: " + what, flush=True)
        self.event("left out", text=what)
        return False

    def attempt(self, seconds, what, work):
        """One part of a section, whose failure is not the end of it; its result, or None."""
        if not self.has(seconds, what):
            return None
        self.event("trying", text=what)
        try:
            result = work()
            self.free()
            return result
        except Exception as e:
            # TorchScript's interpreter hides the type of what went wrong.
            if "out of memory" in str(e).lower():
                self.say("%s: out of memory: %s" % (what, message(e)), out_of_memory=what)
            else:
                traceback.print_exc()
                self.fail("%s: %s: %s" % (what, type(e).__name__, message(e)))
        self.free()
        return None

    def free(self):
        """Gives back what the GPU's allocator keeps, if the GPU still answers."""
        if self.is_cuda():
            import torch

            try:
                torch.cuda.empty_cache()
            except RuntimeError as e:
                self.fail("the GPU does not answer any more: " + message(e))

    def is_cuda(self):
        return self.device == "cuda:0"

    def networks(self, small=None):
        small = self.small if small is None else small
        return [each for each in self.manifest["networks"] if each["small"] == small]

    def network(self, kind):
        return next(each for each in self.networks() if each["kind"] == kind)

    def synchronise(self):
        if self.is_cuda():
            import torch

            torch.cuda.synchronize()

    def milliseconds(self, call, least=3, most=20, warm=2):
        """Median of a call's times, of as many calls as fit into two seconds."""
        for _ in range(warm):
            call()
        self.synchronise()
        times = []
        begin = time.perf_counter()
        while len(times) < least or (len(times) < most and time.perf_counter() - begin < 2):
            start = time.perf_counter()
            call()
            self.synchronise()
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times)


def message(e):
    """The line of an error that says what went wrong."""
    lines = [line.strip() for line in str(e).splitlines() if line.strip()]
    if not lines:
        return "no message"
    # TorchScript's errors begin with a trace of its own, and end with their cause.
    return (lines[-1] if lines[0].startswith("The following operation failed") else lines[0])[:300]


# -- weights and inputs


def weights(section, network, precision):
    """The path of a network's random weights as a safetensors file, written at first use."""
    import torch

    path = os.path.join(section.work, "%s-%s.safetensors" % (network["name"], precision))
    if os.path.exists(path):
        return path
    with open(os.path.join(section.work, network["weights"][precision]), "rb") as file:
        header = file.read()
    tensors = json.loads(header)
    tensors.pop("__metadata__", None)
    begins = 8 + len(header)
    size = begins + max(each["data_offsets"][1] for each in tensors.values())
    began = time.perf_counter()
    partial = path + ".partial"
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(header)))
        file.write(header)
        file.truncate(size)
    # A mapping, so that nothing is in memory twice and numpy is not needed.
    content = torch.from_file(partial, shared=True, size=size, dtype=torch.uint8)
    dtypes = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    pool = pool_of_numbers()
    for name, about in tensors.items():
        first, last = (begins + offset for offset in about["data_offsets"])
        content[first:last].view(dtypes[about["dtype"]]).copy_(
            values(pool, name, about["shape"], (last - first) // dtypes[about["dtype"]].itemsize)
        )
    del content
    os.rename(partial, path)
    seconds = time.perf_counter() - began
    section.say(
        "weights of %s in %s: %.2f GB of random numbers written in %.1f s"
        % (network["name"], precision, size / 1e9, seconds),
        weights=os.path.basename(path),
        bytes=size,
        seconds=seconds,
    )
    return path


def pool_of_numbers():
    import torch

    # A prime, so that no two rows of a matrix are the same.
    return torch.empty(4194301).uniform_(-1, 1, generator=torch.Generator().manual_seed(1))


def values(pool, name, shape, elements):
    """A tensor's numbers: by its name alone, so that they are the same in all precisions."""
    import torch

    offset = zlib.crc32(name.encode()) % pool.numel()
    if offset + elements <= pool.numel():
        numbers = pool[offset : offset + elements]
    else:
        numbers = torch.cat([pool[offset:], pool[:offset]])
        numbers = numbers.repeat(-(-elements // pool.numel()))[:elements]
    if not name.endswith(".weight"):
        return 0.02 * numbers
    if len(shape) == 1:
        return 1 + 0.1 * numbers
    if name.endswith("embedding.weight"):
        return 0.05 * numbers
    return numbers / (elements / shape[0]) ** 0.5


def inputs(call, rows, size, seed=7):
    """Arguments of a call, on the CPU; each row's own, so that it is the same in any batch."""
    import torch

    arguments = []
    for argument in call["inputs"]:
        shape = argument[size]
        each = []
        for row in range(rows):
            generator = torch.Generator().manual_seed(seed * 1000 + row)
            if argument["values"] == "normal":
                each.append(torch.randn(shape, generator=generator))
            elif argument["values"] == "real":
                each.append(torch.rand(shape, generator=generator) * argument["limit"])
            else:
                each.append(torch.randint(argument["limit"], shape, generator=generator))
        arguments.append(torch.stack(each))
    return arguments


def load(section, network, precision, device):
    """A network whose weights are mapped, and on a GPU copied to it."""
    import torch

    # As DJL is told, too: without the profiling executor, whose first calls take seconds.
    torch._C._set_graph_executor_optimize(False)
    path = weights(section, network, precision)
    archive = os.path.join(section.work, network["archives"][precision + " " + device])
    began = time.perf_counter()
    module = torch.jit.load(archive, map_location="cpu" if device.startswith("cpu") else device)
    module.map_parameters(path)
    section.synchronise()
    return module, time.perf_counter() - began


def difference(result, reference):
    """The largest difference, as a part of the largest number of the reference."""
    result = result.detach().float().cpu()
    if not bool(result.isfinite().all()):
        return float("inf")
    return float((result - reference).abs().max() / reference.abs().max())


def to(arguments, device):
    return [each.to(device) for each in arguments]


# -- sections


def machine(section):
    section.say("%s, Python %s" % (platform.platform(), sys.version.split()[0]))
    section.say("%d processors" % os.cpu_count(), processors=os.cpu_count())
    try:
        with open("/proc/meminfo") as file:
            lines = dict(line.split(":", 1) for line in file)
        section.say("memory: %s, available %s" % (lines["MemTotal"].strip(), lines["MemAvailable"].strip()))
    except OSError:
        pass
    disk = shutil.disk_usage(section.work)
    section.say("weights go to %s, %.0f GB free" % (section.work, disk.free / 1e9))
    if shutil.which("nvidia-smi"):
        asked = "name,driver_version,memory.total,memory.used,clocks.max.sm,power.limit,compute_cap"
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=" + asked, "--format=csv,noheader"],
            capture_output=True, text=True, timeout=30,
        )
        section.say("nvidia-smi (%s): %s" % (asked, (answer.stdout or answer.stderr).strip()))
    else:
        section.say("nvidia-smi: not here")
    import torch

    section.say(
        "torch %s, CUDA %s, cuDNN %s, C++11 ABI %s"
        % (torch.__version__, torch.version.cuda, torch.backends.cudnn.version(), torch.compiled_with_cxx11_abi()),
        torch=torch.__version__, cuda=torch.version.cuda,
    )
    for name in ("numpy", "diffusers", "transformers", "onnx", "safetensors", "triton", "tensorrt"):
        section.say("%s: %s" % (name, version_of(name)))
    providers = []
    if version_of("onnxruntime") != "not here":
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    section.say("onnxruntime: %s %s" % (version_of("onnxruntime"), ", ".join(providers)), providers=providers)
    java, about = find_java()
    section.say("Java: " + about, java=java or "")
    if section.is_cuda():
        if not torch.cuda.is_available():
            raise Wrong("torch sees no GPU, so nothing below can run on one")
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            section.say(
                "cuda:%d: %s, %.1f GB, compute capability %d.%d, %d multiprocessors"
                % (index, about.name, about.total_memory / 1e9, about.major, about.minor, about.multi_processor_count),
                gpu=about.name,
            )


def version_of(package):
    from importlib import metadata

    names = [package] if package != "onnxruntime" else [package, package + "-gpu"]
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not here"


def find_java():
    """A Java 17 or later and what is said about it: the machine's own, else the pack's runtime."""
    candidates = [shutil.which("java")]
    if os.environ.get("JAVA_HOME"):
        candidates.insert(0, os.path.join(os.environ["JAVA_HOME"], "bin", "java"))
    packed = os.path.join(PACK, "jre", "bin", "java")
    candidates.append(packed if os.path.exists(packed) else None)
    said = []
    for program in filter(None, candidates):
        try:
            answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30)
        except OSError as e:
            said.append("%s does not start: %s" % (program, e))
            continue
        lines = answer.stderr.splitlines() or ["says nothing"]
        words = lines[0].split('"')
        major = words[1].split(".")[0] if len(words) > 1 else "?"
        if answer.returncode == 0 and major.isdigit() and int(major) >= 17:
            origin = "the pack's runtime" if program == packed else "the machine's own"
            return program, "%s, %s" % (lines[0], origin)
        said.append("%s is not usable: %s" % (program, lines[0]))
    return None, "; ".join(said) or "not here, and the pack has none"


def orientation(section):
    import torch

    device = torch.device(section.device)
    half = torch.float16 if section.is_cuda() else torch.float32
    size = 256 if section.small else 8192

    def matmul(dtype, what):
        a = torch.randn(size, size, device=device).to(dtype)
        ms = section.milliseconds(lambda: a @ a)
        section.say("matrix product of %d, %s: %.2f ms, %.1f TFLOP/s" % (size, what, ms, 2e-9 * size**3 / ms),
                    matmul=what, tflops=2e-9 * size**3 / ms)

    section.attempt(5, "matrix product in float16", lambda: matmul(torch.float16, "float16"))
    section.attempt(5, "matrix product in bfloat16", lambda: matmul(torch.bfloat16, "bfloat16"))
    section.attempt(5, "matrix product in float32", lambda: matmul(torch.float32, "float32"))

    def copy():
        count = (1 << 20) if section.small else (1 << 31)
        a = torch.empty(count, dtype=torch.uint8, device=device)
        b = torch.empty_like(a)
        ms = section.milliseconds(lambda: b.copy_(a))
        section.say("copy on the device: %.0f GB/s read and written" % (2e-6 * count / ms), copy=2e-6 * count / ms)

    section.attempt(5, "copy on the device", copy)

    def upload():
        count = (1 << 20) if section.small else (1 << 28)
        a = torch.empty(count, dtype=torch.uint8)
        ms = section.milliseconds(lambda: a.to(device, copy=True))
        section.say("copy to the device from pageable memory: %.1f GB/s" % (1e-6 * count / ms), upload=1e-6 * count / ms)

    section.attempt(5, "copy to the device", upload)

    def convolution():
        rows, channels, side = (1, 16, 16) if section.small else (8, 320, 64)
        x = torch.randn(rows, channels, side, side, device=device, dtype=half)
        w = torch.randn(channels, channels, 3, 3, device=device, dtype=half)
        for name, form in (("as stored", torch.contiguous_format), ("channels last", torch.channels_last)):
            y, v = x.to(memory_format=form), w.to(memory_format=form)
            ms = section.milliseconds(lambda: torch.nn.functional.conv2d(y, v, padding=1))
            section.say("convolution 3x3, %s, %s: %.3f ms, %.1f TFLOP/s"
                        % (tuple(x.shape), name, ms, 2e-9 * rows * channels**2 * 9 * side**2 / ms), convolution=name, ms=ms)

    section.attempt(5, "a convolution", convolution)

    def attention():
        shape = (1, 8, 64, 40) if section.small else (16, 8, 4096, 40)
        q = torch.randn(shape, device=device, dtype=half)
        ms = section.milliseconds(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))
        section.say("attention of %s: %.2f ms" % (shape, ms), attention=ms)

    section.attempt(5, "attention", attention)
    if version_of("diffusers") == "not here":
        section.say("diffusers: not here, so nothing is measured beside it")
        return

    def diffusers_unet():
        import diffusers
        from diffusers import UNet2DConditionModel

        diffusers.utils.logging.set_verbosity_error()

        network = section.network("unet")
        config = os.path.join(section.work, network["config"])
        model = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(config))
        model = model.to(device, half).eval()
        call = network["methods"][0]
        for rows in network["rows"]:
            sample, timestep, context = to(inputs(call, rows, "speed"), device)
            run = lambda: model(sample.to(half), timestep, context.to(half)).sample
            with torch.no_grad():
                section.say_speed("diffusers eager, " + network["name"], rows, section.milliseconds(run))
        if not section.has(100, "torch.compile"):
            return
        compiled = torch.compile(model)
        rows = 2
        sample, timestep, context = to(inputs(call, rows, "speed"), device)
        run = lambda: compiled(sample.to(half), timestep, context.to(half)).sample
        with torch.no_grad():
            section.say_speed("torch.compile, " + network["name"], rows, section.milliseconds(run))

    section.attempt(15, "diffusers", diffusers_unet)


def say_speed(section, what, rows, ms, guided=True, **more):
    text = "%s, %d rows: %.1f ms a call" % (what, rows, ms)
    images = None
    if guided and rows % 2 == 0:
        images = rows / 2 / (STEPS * ms / 1000)
        text += ", %.2f images/s at %d steps with guidance" % (images, STEPS)
    if section.is_cuda():
        import torch

        peak = torch.cuda.max_memory_allocated() / 2**30
        text += ", %.1f GiB at most" % peak
        more["gib"] = peak
    section.say(text, what=what, rows=rows, ms=ms, images_per_second=images, **more)


Section.say_speed = say_speed


def archives(section):
    import torch

    placed = section.device if section.is_cuda() else "cpu:0"
    # Tiny networks of all classes first: they find what does not work at all.
    for network in section.networks(True) + ([] if section.small else section.networks(False)):
        seconds = 2 if network["small"] else 10
        section.attempt(seconds, "differences of " + network["name"], lambda: differences(section, network, placed))
    for network in section.networks():
        for precision in (["float16"] if section.is_cuda() else ["float32"]):
            section.attempt(
                10, "speed of %s in %s" % (network["name"], precision),
                lambda: speed(section, network, precision, placed),
            )
    network = section.network("unet")
    precision = "float16" if section.is_cuda() else "float32"

    def optimised():
        module, _ = load(section, network, precision, placed)
        arguments = to(inputs(network["methods"][0], 2, "speed"), section.device)
        torch._C._set_graph_executor_optimize(True)
        try:
            with torch.no_grad():
                began = time.perf_counter()
                for _ in range(3):
                    module.forward(*arguments)
                section.synchronise()
                section.say("the profiling executor's first three calls: %.1f s" % (time.perf_counter() - began))
                section.say_speed(
                    "%s %s with the profiling executor" % (network["name"], precision), 2,
                    section.milliseconds(lambda: module.forward(*arguments)),
                )
        finally:
            torch._C._set_graph_executor_optimize(False)

    section.attempt(30 if not section.small else 2, "the profiling executor", optimised)


def differences(section, network, placed):
    import torch

    if "float32 cpu" not in network["archives"]:
        return
    reference, _ = load(section, network, "float32", "cpu")
    for call in network["methods"]:
        arguments = inputs(call, 2, "check")
        with torch.no_grad():
            expected = getattr(reference, call["name"])(*arguments)
        for precision in ("float32", "float16"):
            if precision + " " + placed not in network["archives"]:
                finite = bool(expected.isfinite().all())
                section.say("%s.%s on the CPU: %s, %s; the pack has no archive in %s for %s to compare" % (
                    network["name"], call["name"], tuple(expected.shape), "finite" if finite else "not finite",
                    precision, placed))
                continue
            module, _ = load(section, network, precision, placed)
            run = lambda: getattr(module, call["name"])(*to(arguments, section.device))
            what = "%s.%s in %s" % (network["name"], call["name"], precision)
            with torch.no_grad():
                if section.is_cuda():
                    torch.backends.cudnn.allow_tf32 = False
                    torch.backends.cuda.matmul.allow_tf32 = False
                there = difference(run(), expected)
                alone = getattr(module, call["name"])(*to([each[:1] for each in arguments], section.device))
                invariant = difference(alone, run()[:1].float().cpu())
                text = "%s: differs from float32 on the CPU by %.1e; a row alone and in a batch by %.1e" % (
                    what, there, invariant)
                tf32 = None
                if section.is_cuda() and precision == "float32":
                    # What torch, and so DJL, does unless it is told otherwise.
                    torch.backends.cudnn.allow_tf32 = True
                    tf32 = difference(run(), expected)
                    text += "; with cuDNN's TF32 by %.1e" % tf32
            section.say(text, differs=there, batch=invariant, tf32=tf32, what=what)
            if not there <= LIMITS[precision]:
                section.fail("%s differs by %.1e, more than %.0e" % (what, there, LIMITS[precision]))


def speed(section, network, precision, placed):
    import torch

    if precision + " " + placed not in network["archives"]:
        section.say("%s: the pack has no archive in %s for %s" % (network["name"], precision, placed))
        return
    if section.is_cuda():
        torch.backends.cudnn.allow_tf32 = True
    module, seconds = load(section, network, precision, placed)
    section.say("%s %s: opened and weights placed in %.2f s" % (network["name"], precision, seconds),
                what=network["name"], opened=seconds)
    call = network["methods"][0]
    for rows in network["rows"]:

        def run():
            if section.is_cuda():
                torch.cuda.reset_peak_memory_stats()
            arguments = to(inputs(call, rows, "speed"), section.device)
            with torch.no_grad():
                ms = section.milliseconds(lambda: getattr(module, call["name"])(*arguments))
            section.say_speed("%s %s" % (network["name"], precision), rows, ms, network["guided"])

        section.attempt(5 if not section.small else 1, "%s with %d rows" % (network["name"], rows), run)


def trajectory(section):
    """Requests that begin at different steps share calls, as the batcher's do; each has its own timestep."""
    import torch

    network = section.network("unet")
    precision = "float16" if section.is_cuda() else "float32"
    placed = section.device if section.is_cuda() else "cpu:0"
    module, _ = load(section, network, precision, placed)
    sample, timestep, context = inputs(network["methods"][0], 12, "speed")
    most, apart = (2, 3) if section.small else (8, 3)
    steps = 5 if section.small else STEPS
    requests = 4 if section.small else 12

    def loop(ids, together, on_host):
        """All requests' latents at the end, and how many calls that took."""
        waiting, running, done, calls, tick = list(ids), {}, {}, 0, 0
        where = "cpu" if on_host else section.device
        empty = torch.zeros_like(context[0])
        while waiting or running:
            if waiting and len(running) < together and (tick % apart == 0 or not running):
                one = waiting.pop(0)
                running[one] = (0, sample[one].to(where))
            tick += 1
            rows = list(running)
            x = torch.stack([running[one][1] for one in rows for _ in range(2)]).to(section.device)
            t = torch.tensor([999.0 * (1 - running[one][0] / steps) for one in rows for _ in range(2)])
            c = torch.stack([each for one in rows for each in (empty, context[one])])
            noise = module.forward(x, t.to(section.device), c.to(section.device)).to(where)
            calls += 1
            for place, one in enumerate(rows):
                step, latent = running.pop(one)
                guided = noise[2 * place] + 7.5 * (noise[2 * place + 1] - noise[2 * place])
                latent = latent - guided / steps
                if step + 1 == steps:
                    done[one] = latent
                else:
                    running[one] = (step + 1, latent)
        section.synchronise()
        return done, calls

    with torch.no_grad():
        loop([0], 1, False)
        for on_host, name in ((False, "latents stay on the device"), (True, "latents go to the host at every step")):

            def run():
                if section.is_cuda():
                    torch.cuda.reset_peak_memory_stats()
                began = time.perf_counter()
                done, calls = loop(range(requests), most, on_host)
                seconds = time.perf_counter() - began
                text = "%d requests of %d steps, %d steps apart, at most %d in a call, %s: %d calls, %.2f s, %.2f images/s" % (
                    requests, steps, apart, most, name, calls, seconds, requests / seconds)
                section.say(text, requests=requests, calls=calls, seconds=seconds, images_per_second=requests / seconds,
                            on_host=on_host)
                return done

            done = section.attempt(20 if not section.small else 2, name, run)
        if done and section.has(10 if not section.small else 1, "a request alone"):
            alone, _ = loop([requests // 2], 1, True)
            apart_by = difference(done[requests // 2], alone[requests // 2].float().cpu())
            section.say("a request in shared calls differs from the same alone by %.1e" % apart_by, batch=apart_by)
            if not apart_by <= 10 * LIMITS[precision]:
                section.fail("a request in shared calls differs from the same alone by %.1e" % apart_by)


def in_java(section, engine, jars, environment):
    """Runs JavaCheck, whose lines are events."""
    program, about = find_java()
    if program is None:
        raise NotHere("Java: " + about)
    section.say("Java: " + about)
    networks = section.networks(True) + ([] if section.small else section.networks(False))
    precision = "float16" if section.is_cuda() else "float32"
    order = []
    for network in networks:
        # SDXL's weights are large, and it shows nothing here that the others do not.
        if network["kind"] != "unet-xl" or network["small"]:
            for each in ("float32", precision):
                if each in network["weights"] and section.has(5, "weights of " + network["name"]):
                    weights(section, network, each)
            order.append(network["name"])
    lib = os.path.join(PACK, "lib")
    classpath = ":".join([os.path.join(lib, name) for name in sorted(os.listdir(lib))] + jars)
    left = max(5, int(section.ends - time.monotonic()) - 3)
    command = [
        program, "-Xmx4g", "-Dai.djl.offline=true", "-cp", classpath,
        "io.github.flinkdiffusion.benchmarks.gpucheck.JavaCheck", os.path.join(PACK, "manifest.json"), section.work, engine,
        "gpu:0" if section.is_cuda() else "cpu", precision, str(left), ",".join(order),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **environment})
    errors = []
    reader = threading.Thread(target=lambda: errors.extend(process.stderr))
    reader.start()
    answered = False
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:
            print(line, end="", flush=True)
            continue
        kind = said.pop("kind")
        if kind == "wrong":
            section.fail(said["text"])
        elif kind == "left out":
            section.has(float("inf"), said["text"])
        else:
            answered = True
            section.say(said.pop("text"), **said)
    process.wait()
    reader.join()
    if process.returncode != 0:
        tail = [line.rstrip() for line in errors if line.strip()]
        for line in tail[-15:]:
            print("  | " + line, flush=True)
        section.event("log", text="\n".join(tail[-60:]))
        raise Wrong("Java ended with %d%s: %s" % (
            process.returncode, "" if answered else " before anything was computed",
            cause(tail)))


def cause(trace):
    """The line of Java's trace that says what went wrong: the innermost cause."""
    causes = [line for line in trace if line.startswith(("Caused by:", "Exception in"))]
    return (causes or trace or ["no message"])[-1][:400]


def java(section):
    import torch

    if not os.path.isdir(os.path.join(PACK, "lib")):
        raise NotHere("the pack has no jars")
    lib = os.path.join(os.path.dirname(torch.__file__), "lib")
    wanted = section.manifest["libtorch"]
    here = torch.__version__.split("+")[0]
    if here != wanted:
        section.say("DJL's native code was built for torch %s, and here is %s: it may not load" % (wanted, here))
    in_java(section, "pytorch", [], {
        "PYTORCH_LIBRARY_PATH": lib,
        # DJL takes the native code of this version from its jar, for this kind of torch.
        "PYTORCH_VERSION": wanted,
        "PYTORCH_FLAVOR": section.manifest["flavor"] if section.is_cuda() else "cpu",
        "DJL_CACHE_DIR": os.path.join(section.work, "djl"),
    })


def onnx(section):
    reached = []
    why = []
    for what, part in (("from Python", onnx_python), ("from Java", onnx_java)):
        try:
            part(section)
            reached.append(what)
        except NotHere as e:
            section.say("ONNX Runtime %s: not here: %s" % (what, e))
            why.append("%s: %s" % (what, e))
    if not reached:
        raise NotHere("; ".join(why))


def onnx_java(section):
    jar = section.onnxruntime_gpu
    if not jar:
        raise NotHere("no --onnxruntime-gpu PATH was given")
    if not os.path.exists(jar):
        raise Wrong("--onnxruntime-gpu %s does not exist" % jar)
    in_java(section, "onnxruntime", [jar], {})


def onnx_python(section):
    if version_of("onnxruntime") == "not here":
        raise NotHere("no package onnxruntime")
    if version_of("numpy") == "not here":
        raise NotHere("no package numpy")
    import onnxruntime
    import torch

    provider = "CUDAExecutionProvider" if section.is_cuda() else "CPUExecutionProvider"
    available = onnxruntime.get_available_providers()
    if provider not in available:
        raise NotHere("onnxruntime %s has no %s, only %s" % (onnxruntime.__version__, provider, ", ".join(available)))
    if section.is_cuda() and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    for network in section.networks(True) + ([] if section.small else section.networks(False)):
        for precision in ("float32", "float16"):
            if precision == "float16" and not section.is_cuda():
                continue
            if precision not in network["onnx"]:
                continue

            def run():
                path = weights(section, network, precision)
                call = network["methods"][0]
                model = os.path.join(section.work, os.path.basename(network["onnx"][precision]))
                # Beside the weights: a model's external data lies in its own folder.
                shutil.copyfile(os.path.join(section.work, network["onnx"][precision]), model)
                options = onnxruntime.SessionOptions()
                options.log_severity_level = 3
                began = time.perf_counter()
                session = onnxruntime.InferenceSession(model, options, providers=[provider])
                seconds = time.perf_counter() - began
                if provider not in session.get_providers():
                    raise Wrong("the session runs on %s: the CUDA provider did not load" % session.get_providers())
                what = "%s in %s by ONNX Runtime" % (network["name"], precision)

                def feed(rows, size):
                    return {
                        argument["name"]: value.numpy()
                        for argument, value in zip(call["inputs"], inputs(call, rows, size))
                    }

                if "float32 cpu" in network["archives"]:
                    reference, _ = load(section, network, "float32", "cpu")
                    with torch.no_grad():
                        expected = getattr(reference, call["name"])(*inputs(call, 2, "check"))
                    there = difference(torch.from_numpy(session.run(None, feed(2, "check"))[0]), expected)
                    section.say("%s: differs from float32 on the CPU by %.1e; opened in %.1f s" % (what, there, seconds),
                                what=what, differs=there, opened=seconds)
                    if not there <= LIMITS[precision]:
                        section.fail("%s differs by %.1e, more than %.0e" % (what, there, LIMITS[precision]))
                if network["small"] == section.small and (precision == "float16" or not section.is_cuda()):
                    for rows in network["rows"]:
                        if section.has(1 if section.small else 5, "%s with %d rows" % (what, rows)):
                            arguments = feed(rows, "speed")
                            ms = section.milliseconds(lambda: session.run(None, arguments))
                            section.say_speed(what + ", copies included", rows, ms, network["guided"])

            section.attempt(2 if network["small"] else 15, "%s in %s by ONNX Runtime" % (network["name"], precision), run)


def run_section(options):
    section = Section(options)
    try:
        globals()[options.section](section)
        if section.wrong:
            raise Wrong("; ".join(section.wrong))
        status, why = "OK", ""
    except NotHere as e:
        status, why = "NOT HERE", str(e)
    except Wrong as e:
        status, why = "FAILED", str(e)
    except Exception as e:
        traceback.print_exc()
        status, why = "FAILED", "%s: %s" % (type(e).__name__, message(e))
    section.event("end", status=status, why=why)


# -- the whole


def prepared_environment(device):
    """The chosen GPU is the only one that the sections see, so that it is cuda:0 to archives."""
    environment = dict(os.environ)
    environment["PYTHONUNBUFFERED"] = "1"
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")
    environment.setdefault("HF_HUB_OFFLINE", "1")
    if device.startswith("cuda"):
        index = int(device.partition(":")[2] or 0)
        visible = [each for each in environment.get("CUDA_VISIBLE_DEVICES", "").split(",") if each]
        if visible and index >= len(visible):
            sys.exit("error: --device %s: CUDA_VISIBLE_DEVICES names %d GPU(s)" % (device, len(visible)))
        environment["CUDA_VISIBLE_DEVICES"] = visible[index] if visible else str(index)
        environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return environment


def folder_for_weights(small):
    """In memory where there is plenty, since weights are written and mapped once; else on disk."""
    needed = 24e9
    try:
        with open("/proc/meminfo") as file:
            available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
        if not small and available > 3 * needed and shutil.disk_usage("/dev/shm").free > needed:
            return tempfile.mkdtemp(prefix="gpu-check-", dir="/dev/shm")
    except (OSError, StopIteration):
        pass
    return tempfile.mkdtemp(prefix="gpu-check-")


def run(options):
    began = time.monotonic()
    ends = began + 60 * options.minutes
    out = options.out or os.environ.get("OUT") or "gpu-check-out"
    os.makedirs(out, exist_ok=True)
    work = folder_for_weights(options.small)
    environment = prepared_environment(options.device)
    report = open(os.path.join(out, "gpu-check.txt"), "w")

    def say(text=""):
        print(text, flush=True)
        report.write(text + "\n")
        report.flush()

    with zipfile.ZipFile(os.path.join(PACK, "networks.zip")) as networks:
        networks.extractall(work)
    results = []
    command = "benchmarks/gpu-check run --device %s%s --minutes %g" % (
        options.device, " --small" if options.small else "", options.minutes)
    say("gpu-check of %s, %s" % (time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), command))
    weights_left = sum(weight for _, _, _, weight in SECTIONS)
    try:
        for name, number, title, weight in SECTIONS:
            left = ends - time.monotonic()
            seconds = left * weight / weights_left
            weights_left -= weight
            say("\n[%s] at most %.0f s" % (title, seconds))
            result = {"section": number, "name": name, "title": title, "allowed_s": seconds}
            if options.sections and name not in options.sections:
                result.update(status="NOT HERE", why="not asked for", events=[], seconds=0.0)
            elif left < 5:
                result.update(status="NOT HERE", why="no time was left", events=[], seconds=0.0)
            else:
                result.update(run_process(name, seconds, work, options, environment, say))
            results.append(result)
            say("[%s] %s%s (%.1f s)" % (title, result["status"], " " + result["why"] if result["why"] else "", result["seconds"]))
            with open(os.path.join(out, "gpu-check.json"), "w") as file:
                json.dump({"command": command, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "sections": results},
                          file, indent=1)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say("\nSummary, %.0f s in all" % (time.monotonic() - began))
    for result in sorted(results, key=lambda each: each["section"]):
        left_out = sum(event["kind"] == "left out" for event in result["events"])
        say("%-48s %s%s%s" % (
            result["title"], result["status"], " " + result["why"] if result["why"] else "",
            " (%d left out for time)" % left_out if left_out else ""))
    say("Written to %s/gpu-check.txt and gpu-check.json" % out)
    return 0 if all(result["status"] != "FAILED" for result in results) else 1


def run_process(name, seconds, work, options, environment, say):
    """One section in a process group of its own, which is ended when its time is over."""
    events = os.path.join(work, "events-" + name)
    command = [
        sys.executable, os.path.abspath(__file__), "run", "--section", name, "--device",
        "cuda:0" if options.device.startswith("cuda") else "cpu", "--work", work, "--events", events,
        "--seconds", str(seconds),
    ]
    command += ["--small"] if options.small else []
    command += ["--onnxruntime-gpu", os.path.abspath(options.onnxruntime_gpu)] if options.onnxruntime_gpu else []
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               env=environment, start_new_session=True)
    over = []

    def stop():
        over.append(True)
        os.killpg(process.pid, signal.SIGKILL)

    # A little later than the section's own clock, which should have ended it.
    timer = threading.Timer(seconds + 2, stop)
    timer.start()
    tail = []
    for line in process.stdout:
        say(line.rstrip("\n"))
        tail = (tail + [line.strip()])[-5:]
    process.wait()
    timer.cancel()
    found = []
    if os.path.exists(events):
        with open(events) as file:
            found = [json.loads(line) for line in file if line.endswith("\n")]
    end = next((event for event in found if event["kind"] == "end"), None)
    if end:
        status, why = end["status"], end["why"]
    elif over:
        last = next((event["text"] for event in reversed(found) if event["kind"] == "trying"), "its beginning")
        status, why = "FAILED", "ran past its %.0f s in %s; what it found before counts" % (seconds, last)
    else:
        status, why = "FAILED", "its process ended with %d: %s" % (process.returncode, " / ".join(tail))
    return {"status": status, "why": why, "events": [event for event in found if event["kind"] != "end"],
            "seconds": time.monotonic() - began}


def main():
    parser = argparse.ArgumentParser(prog="benchmarks/gpu-check run", description=__doc__.splitlines()[0])
    parser.add_argument("run", choices=["run"], help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda:0", help="cuda:N or cpu (default: cuda:0)")
    parser.add_argument("--small", action="store_true", help="tiny networks of the same classes: a rehearsal")
    parser.add_argument("--minutes", type=float, default=8, help="for everything together (default: 8)")
    parser.add_argument("--out", help="folder of the report (default: $OUT, else gpu-check-out)")
    parser.add_argument("--onnxruntime-gpu", metavar="PATH", help="onnxruntime_gpu's jar, for ONNX Runtime from Java")
    parser.add_argument("--sections", type=lambda text: text.split(","), metavar="NAMES",
                        help="only these: " + ",".join(name for name, _, _, _ in SECTIONS))
    for hidden, kind in (("--section", str), ("--work", str), ("--events", str), ("--seconds", float)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device != "cpu" and not (options.device + ":0").startswith("cuda:"):
        parser.error("--device %s: expected cuda:N or cpu" % options.device)
    unknown = set(options.sections or []) - {name for name, _, _, _ in SECTIONS}
    if unknown:
        parser.error("--sections: there is no %s" % ", ".join(sorted(unknown)))
    if options.section:
        run_section(options)
        return 0
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
