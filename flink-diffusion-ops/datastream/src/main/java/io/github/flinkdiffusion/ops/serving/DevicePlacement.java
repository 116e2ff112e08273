/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import java.util.Collection;
import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;

/** Which of a task manager's devices a subtask uses. */
@Internal
public final class DevicePlacement {
  /** Name of Flink's external resource, as in {@code external-resources: gpu}. */
  public static final String GPU_RESOURCE = "gpu";

  private static final String AUTO = "auto";
  private static final String INDEX = "index";

  private DevicePlacement() {}

  /**
   * Spreads subtasks over the GPUs that Flink gives the task manager, if there are any and nothing
   * else is configured.
   *
   * @param configured {@link DiffusionOptions#DEVICE}
   * @param gpus what Flink's external resource framework says; empty when it is not configured
   * @param subtask index of the subtask
   * @throws DiffusionException when a GPU does not say its index as Flink's own driver does
   */
  public static String choose(
      String configured, Collection<ExternalResourceInfo> gpus, int subtask) {
    if (!configured.equals(AUTO) || gpus.isEmpty()) {
      return configured;
    }
    // Sorted, because the framework returns a set, and equal subtasks must find equal devices.
    List<Integer> indexes = gpus.stream().map(DevicePlacement::index).sorted().toList();
    return "gpu:" + indexes.get(subtask % indexes.size());
  }

  private static Integer index(ExternalResourceInfo gpu) {
    String index = gpu.getProperty(INDEX).orElse("");
    try {
      return Integer.valueOf(index);
    } catch (NumberFormatException e) {
      throw new DiffusionException(
          "A GPU of Flink's external resource '%s' has the index '%s', properties %s; a number is needed: use Flink's GPUDriver, or set %s to gpu:N."
              .formatted(GPU_RESOURCE, index, gpu.getKeys(), DiffusionOptions.DEVICE.key()),
          e);
    }
  }
}
