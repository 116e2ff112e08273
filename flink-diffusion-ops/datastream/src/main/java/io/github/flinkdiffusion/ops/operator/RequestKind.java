/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import java.io.Serializable;

/**
 * Which events an operator's requests are.
 *
 * @param <E> the event
 */
@FunctionalInterface
interface RequestKind<E> extends Serializable {
  RequestKind<PromptEvent> PROMPTS =
      (event, copy) -> RequestEvent.of(copy ? PromptEvent.newBuilder(event).build() : event);

  RequestKind<ImageTaskEvent> IMAGE_TASKS =
      (event, copy) -> RequestEvent.of(copy ? ImageTaskEvent.newBuilder(event).build() : event);

  /** Image tasks whose results are texts. */
  RequestKind<ImageTaskEvent> TEXT_TASKS =
      new RequestKind<>() {
        private static final long serialVersionUID = 1L;

        @Override
        public RequestEvent request(ImageTaskEvent event, boolean copy) {
          return IMAGE_TASKS.request(event, copy);
        }

        @Override
        public boolean emitsTexts() {
          return true;
        }
      };

  /** Whether results are texts; else they are images. */
  default boolean emitsTexts() {
    return false;
  }

  /**
   * @param copy whether the event will be used again by who gave it
   */
  RequestEvent request(E event, boolean copy);
}
