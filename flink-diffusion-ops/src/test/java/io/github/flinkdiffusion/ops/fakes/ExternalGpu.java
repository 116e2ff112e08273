/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.fakes;

import java.util.Arrays;
import java.util.Collection;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.flink.api.common.externalresource.ExternalResourceInfo;

/**
 * A GPU as Flink's external resource framework says it to a task.
 *
 * @param properties such as {@code index}
 */
public record ExternalGpu(Map<String, String> properties) implements ExternalResourceInfo {

  /** GPUs as Flink's own driver says them, in a set, as the framework gives them. */
  public static Set<ExternalResourceInfo> withIndexes(int... indexes) {
    return Arrays.stream(indexes)
        .mapToObj(index -> new ExternalGpu(Map.of("index", Integer.toString(index))))
        .collect(Collectors.toSet());
  }

  @Override
  public Optional<String> getProperty(String key) {
    return Optional.ofNullable(properties.get(key));
  }

  @Override
  public Collection<String> getKeys() {
    return properties.keySet();
  }
}
