package io.github.flinkdiffusion.ops.graph;

/**
 * A graph or an archive that can not be built; the message names the graph's part and the value.
 */
public class GraphException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public GraphException(String message) {
    super(message);
  }

  public GraphException(String message, Throwable cause) {
    super(message, cause);
  }
}
