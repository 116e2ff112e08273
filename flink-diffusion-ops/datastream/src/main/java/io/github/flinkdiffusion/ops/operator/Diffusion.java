/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import org.apache.flink.annotation.PublicEvolving;

/** Where a job that makes pictures begins. */
@PublicEvolving
public final class Diffusion {
  private Diffusion() {}

  /** Pictures from prompts. */
  public static TextToImage textToImage() {
    return new TextToImage();
  }

  /** Pictures from pictures: enlarged, segmented, changed. */
  public static ImageTasks imageTasks() {
    return new ImageTasks();
  }

  /** DICOM series, whose files come one by one, as image tasks of whole volumes. */
  public static SeriesGathering series() {
    return new SeriesGathering();
  }
}
