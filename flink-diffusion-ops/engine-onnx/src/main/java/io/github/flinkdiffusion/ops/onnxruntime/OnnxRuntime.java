/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.onnxruntime;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import com.sun.jna.NativeLibrary;
import io.github.flinkdiffusion.ops.engine.DeviceMemoryException;
import io.github.flinkdiffusion.ops.engine.EngineException;
import io.github.flinkdiffusion.ops.engine.UnusableEngineException;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicReference;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The process's one ONNX Runtime, loaded at first use. */
final class OnnxRuntime {
  private static final Logger LOG = LoggerFactory.getLogger(OnnxRuntime.class);

  /** System property: threads of a call. Without it, as many as OMP_NUM_THREADS says. */
  private static final String THREADS = "flinkdiffusion.onnxruntime.threads";

  private OnnxRuntime() {}

  /**
   * The process's environment.
   *
   * @param sharesThreads whether all sessions share its threads; else each has its own
   */
  private record Loaded(OrtEnvironment environment, boolean sharesThreads) {}

  private static final AtomicReference<Loaded> LOADED = new AtomicReference<>();

  /**
   * The environment, made once.
   *
   * @throws UnusableEngineException if the library is not there or cannot be loaded
   */
  static OrtEnvironment environment() {
    return loaded().environment;
  }

  /** Whether all sessions of the process share threads. */
  static boolean sharesThreads() {
    return loaded().sharesThreads;
  }

  private static Loaded loaded() {
    synchronized (LOADED) {
      if (LOADED.get() == null) {
        try {
          LOADED.set(load());
        } catch (LinkageError | OrtException | RuntimeException e) {
          throw new UnusableEngineException(
              "ONNX Runtime could not be loaded (%s). Put com.microsoft.onnxruntime:onnxruntime, or onnxruntime_gpu, on the class path, in Flink's lib/ folder on a cluster; it unpacks its native library into java.io.tmpdir, which must be writable."
                  .formatted(e),
              e);
        }
      }
      return LOADED.get();
    }
  }

  private static Loaded load() throws OrtException {
    disableTelemetry();
    try (OrtEnvironment.ThreadingOptions threading = new OrtEnvironment.ThreadingOptions()) {
      threading.setGlobalIntraOpNumThreads(threads());
      threading.setGlobalInterOpNumThreads(1);
      threading.setGlobalSpinControl(maySpin());
      OrtEnvironment environment =
          OrtEnvironment.getEnvironment(
              OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "flink-diffusion", threading);
      keepUntilTheProcessEnds();
      return new Loaded(environment, true);
    } catch (IllegalStateException e) {
      LOG.info(
          "Other code of this process uses ONNX Runtime; each session gets threads of its own");
      return new Loaded(OrtEnvironment.getEnvironment(), false);
    }
  }

  /**
   * Counts one more user of the native environment. The library's own shutdown hook lets go of it,
   * at once, in the middle of whatever call is running, which then ends the process by SIGSEGV
   * (tried: SIGTERM to the demo, three times of three). So it never is the last user; who waits for
   * the call is the thread of the device.
   */
  private static void keepUntilTheProcessEnds() {
    try {
      Field api = Class.forName("ai.onnxruntime.OnnxRuntime").getDeclaredField("ortApiHandle");
      Method create =
          OrtEnvironment.class.getDeclaredMethod(
              "createHandle", long.class, int.class, String.class);
      api.setAccessible(true);
      create.setAccessible(true);
      create.invoke(
          null,
          api.getLong(null),
          OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR.getValue(),
          "flink-diffusion");
    } catch (ReflectiveOperationException | RuntimeException e) {
      LOG.warn(
          "This project was not tested with this version of ONNX Runtime: SIGTERM in the middle of"
              + " a call may crash the process",
          e);
    }
  }

  /** Threads of a call, the caller's own among them. */
  static int threads() {
    String likeLibtorch = System.getenv("OMP_NUM_THREADS");
    int otherwise =
        likeLibtorch != null && likeLibtorch.matches("[0-9]{1,4}")
            ? Integer.parseInt(likeLibtorch)
            : 0;
    int threads = Integer.getInteger(THREADS, otherwise);
    return threads > 0 ? threads : Runtime.getRuntime().availableProcessors();
  }

  /**
   * Whether threads wait busily for each other, as OpenMP's variable says, which libtorch goes by,
   * too. A processor that waits busily is one that Flink's other threads do not have.
   */
  static boolean maySpin() {
    return !"passive".equalsIgnoreCase(System.getenv("OMP_WAIT_POLICY"));
  }

  /**
   * From version 1.29 on, the library tells its vendor about the process and its models, and ends
   * processes whose command line is longer than 4,000 bytes, as Flink's are. It looks at this
   * variable once, when it is loaded, and Java sets none; one that is set is left as it is.
   */
  private static void disableTelemetry() {
    try {
      NativeLibrary.getProcess()
          .getFunction("setenv")
          .invokeInt(new Object[] {"ORT_DISABLE_TELEMETRY", "1", 0});
    } catch (LinkageError | RuntimeException e) {
      // Not a POSIX system.
      LOG.debug("The environment variable ORT_DISABLE_TELEMETRY could not be set", e);
    }
  }

  /** Out of memory is worth a smaller batch; anything else is not. */
  static EngineException translate(String what, OrtException e) {
    String message = String.valueOf(e.getMessage());
    String lower = message.toLowerCase(Locale.ROOT);
    String text = message.replaceAll("\\s+", " ");
    if (lower.contains("bad allocation")
        || lower.contains("bad_alloc")
        || lower.contains("failed to allocate memory")
        || lower.contains("out of memory")) {
      return new DeviceMemoryException(what + " ran out of device memory: " + text, e);
    }
    return new EngineException(what + " failed: " + text, e);
  }
}
