package io.github.flinkdiffusion.ops.engine;

import ai.djl.Device;
import ai.djl.engine.Engine;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.torchscript.Convolutions;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where a network runs: the CPU or one GPU.
 *
 * @param gpu index of the GPU, or -1 for the CPU
 */
public record DeviceSpec(int gpu) {
  public static final DeviceSpec CPU = new DeviceSpec(-1);

  private static final Pattern GPU = Pattern.compile("gpu:(\\d{1,4})");

  /** Whether {@link #parse} may accept the text on some machine. Loads no native library. */
  public static boolean isName(String text) {
    return text.equals("cpu") || text.equals("auto") || GPU.matcher(text).matches();
  }

  /**
   * Reads {@code cpu}, {@code gpu:N}, or {@code auto}: the first GPU if this process sees one, else
   * the CPU.
   *
   * @throws EngineException on any other text, or when the GPU is not there
   */
  public static DeviceSpec parse(String text) {
    if (text.equals("cpu")) {
      return CPU;
    }
    boolean auto = text.equals("auto");
    Matcher gpu = GPU.matcher(text);
    if (!auto && !gpu.matches()) {
      throw new EngineException(
          "Device '" + text + "' is not known; use auto, cpu or gpu:N with N from 0.");
    }
    int present = Torch.engine().getGpuCount();
    if (auto) {
      return present > 0 ? new DeviceSpec(0) : CPU;
    }
    int index = Integer.parseInt(gpu.group(1));
    if (index >= present) {
      throw new EngineException(
          "Device '"
              + text
              + "' is not there: this process sees "
              + present
              + " GPU(s). "
              + "Use cpu, or give the process a CUDA build of libtorch (README, On a GPU).");
    }
    return new DeviceSpec(index);
  }

  public boolean isGpu() {
    return gpu >= 0;
  }

  /** How archives that run here in this precision best compute convolutions. */
  public Convolutions convolutions(Precision storage) {
    boolean x86 = System.getProperty("os.arch").matches("amd64|x86_64");
    return !isGpu() && x86 && storage == Precision.FLOAT32
        ? Convolutions.FOR_X86_FLOAT32
        : Convolutions.LIBRARY;
  }

  Device toDjl() {
    return isGpu() ? Device.gpu(gpu) : Device.cpu();
  }

  @Override
  public String toString() {
    return isGpu() ? "gpu:" + gpu : "cpu";
  }

  /** GPUs that this process sees. */
  public static int gpuCount() {
    Engine engine = Torch.engine();
    return engine.getGpuCount();
  }
}
