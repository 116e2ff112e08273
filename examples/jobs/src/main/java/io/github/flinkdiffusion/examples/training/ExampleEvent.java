/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

/**
 * An example that arrives in a stream. A class as Flink's own serializer wants it, so that fields
 * may be added.
 */
public class ExampleEvent {
  /** Names it in what is said of it. */
  public String id = "";

  /** The file's bytes, of any image format that this project reads. */
  public byte[] image = new byte[0];

  /** What it shows; empty if that is not known. */
  public String caption = "";

  /** The mask, the small image, or the control image, of a pair; empty without. */
  public byte[] other = new byte[0];

  public ExampleEvent() {}

  public ExampleEvent(String id, byte[] image, String caption, byte[] other) {
    this.id = id;
    this.image = image;
    this.caption = caption;
    this.other = other;
  }
}
