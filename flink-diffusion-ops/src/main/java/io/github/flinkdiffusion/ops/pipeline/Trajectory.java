package io.github.flinkdiffusion.ops.pipeline;

/**
 * One request on its way from noise to picture. Only the pipeline that made it moves it on; between
 * two device calls any thread that has synchronised with the device's may read it.
 */
public interface Trajectory {

  /** What is being made. */
  GenerationRequest request();

  /** Network steps done, 0 .. {@link #totalSteps}. */
  int step();

  /**
   * Network steps in all; above {@link GenerationRequest#steps} for schedulers that call the
   * network more than once a step.
   */
  int totalSteps();

  /** True when all steps are done and only decoding is left. */
  default boolean done() {
    return step() >= totalSteps();
  }

  /** Rows that this trajectory takes in a network call: 1 without guidance, 2 with it. */
  int rows();

  /**
   * What must be equal for trajectories to share a network call, e.g. the latent's shape. Has
   * equals and hashCode; constant for the trajectory's life.
   */
  Object batchKey();

  /**
   * Everything that {@link DiffusionPipeline#restore} needs to go on at this step. A copy: later
   * steps do not change it. Cheap; called between device calls, not always on the device's thread.
   */
  TrajectorySnapshot snapshot();
}
