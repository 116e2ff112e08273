/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;

/**
 * What is remembered of a stream of frames beside its last result. JSON in state, so that later
 * versions can add to it.
 *
 * @param lastFrame number of the last frame that was admitted
 * @param seenMillis when that was
 */
@JsonIgnoreProperties(ignoreUnknown = true)
record LiveStream(long lastFrame, long seenMillis) {
  private static final ObjectMapper JSON = new ObjectMapper();

  static LiveStream parse(String json) {
    try {
      return JSON.readValue(json, LiveStream.class);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("A stream of frames in state: " + json, e);
    }
  }

  String json() {
    try {
      return JSON.writeValueAsString(this);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }
}
