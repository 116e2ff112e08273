package io.github.flinkdiffusion.ops.engine;

/**
 * The tensor library could not load or run a network; the message names the archive or the device.
 */
public class EngineException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public EngineException(String message) {
    super(message);
  }

  public EngineException(String message, Throwable cause) {
    super(message, cause);
  }
}
