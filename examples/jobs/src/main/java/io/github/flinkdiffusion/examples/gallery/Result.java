/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import io.github.flinkdiffusion.connector.event.AuditRecord;
import io.github.flinkdiffusion.connector.event.ImageEvent;

/**
 * A result on the wall, without its bytes.
 *
 * @param number in the order of arrival, from 1
 * @param place of the event; text, for the page
 * @param name of the file that was sent, empty when nobody gave it one
 * @param task such as text-to-image, empty when the event does not say
 * @param source whether it was made from an image
 * @param time when the record was written, in milliseconds since 1970-01-01 UTC
 */
record Result(
    long number,
    String place,
    String id,
    String prompt,
    String name,
    String task,
    String model,
    String modelDigest,
    String digest,
    int width,
    int height,
    long seed,
    int steps,
    boolean mask,
    boolean uncertainty,
    boolean source,
    int regions,
    boolean truncated,
    long time) {

  static Result of(long number, Place place, ImageEvent event, long time) {
    AuditRecord audit = event.getAudit();
    return new Result(
        number,
        place.toString(),
        event.getId(),
        event.getPrompt(),
        event.getAttributes().getOrDefault(Events.NAME, ""),
        audit == null ? "" : audit.getTask(),
        event.getModel(),
        event.getModelDigest(),
        event.getDigest(),
        event.getWidth(),
        event.getHeight(),
        event.getSeed(),
        event.getSteps(),
        event.getMask() != null,
        event.getUncertainty() != null,
        audit != null && audit.getInputDigests().containsKey("image"),
        event.getRegions() == null ? 0 : event.getRegions().getItems().size(),
        event.getPromptTruncated(),
        time);
  }
}
