/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.imaging.ResultFormat;
import java.util.List;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;
import org.jspecify.annotations.NullMarked;

/**
 * Settings of an operator that works on images, besides {@link DiffusionOptions}. Each can be set
 * in Flink's configuration and by a method of {@code ImageTasks}, which wins.
 */
@NullMarked
@PublicEvolving
public final class ImageTaskOptions {

  /** Samples of an image task that names no number, 1 to 64. */
  public static final ConfigOption<Integer> ENSEMBLE_SIZE =
      ConfigOptions.key("diffusion.default.ensemble-size")
          .intType()
          .defaultValue(1)
          .withDescription(
              "Samples of an image task that sets no number, 1 to 64, each from a seed of its"
                  + " own. The result is their mean (of masks, the share of samples), and its"
                  + " uncertainty is how much they differ.");

  /** The bands that the model sees, from 1, in its order. */
  public static final ConfigOption<List<Integer>> BANDS =
      ConfigOptions.key("diffusion.image.bands")
          .intType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "Bands of an image that the model sees, counted from 1, in its order, such as 3;2;1"
                  + " for blue, green and red of a satellite. Default: opacity is left out, and"
                  + " gray and color are converted into each other as the model needs it; images"
                  + " with other numbers of bands are refused.");

  /** The image's numbers that are black and white for the model, as {@code black..white}. */
  public static final ConfigOption<String> VALUE_RANGE =
      ConfigOptions.key("diffusion.image.value-range")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Values of an image that are black and white for the model, such as 0..10000 for"
                  + " reflectances or -160..240 for Hounsfield units. Results are in the image's"
                  + " own values again. Default: what the file says (a DICOM window), else all"
                  + " values of its type.");

  /** The number in place of infinity and NaN. Default: such an image is refused. */
  public static final ConfigOption<Double> NOT_FINITE_AS =
      ConfigOptions.key("diffusion.image.not-finite-as")
          .doubleType()
          .noDefaultValue()
          .withDescription(
              "Value to use where an image holds infinity or NaN. Default: such an image is"
                  + " refused.");

  /** Whether a DICOM file's patient data is copied into results. */
  public static final ConfigOption<Boolean> PATIENT_DATA =
      ConfigOptions.key("diffusion.image.patient-data")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Copy what a DICOM file says about its patient into results. Default: only what is"
                  + " needed to understand the pixels is copied.");

  /** Maximum pixels of a TIFF image. */
  public static final ConfigOption<Long> MAX_PIXELS =
      ConfigOptions.key("diffusion.image.max-pixels")
          .longType()
          .defaultValue(1L << 30)
          .withDescription(
              "Maximum pixels of a TIFF image, which is read in parts. Images of other kinds are"
                  + " read as a whole and may have at most 4096 x 4096 pixels.");

  /** Maximum slices of one image task. */
  public static final ConfigOption<Integer> MAX_SLICES =
      ConfigOptions.key("diffusion.image.max-slices")
          .intType()
          .defaultValue(2048)
          .withDescription(
              "Maximum slices of one image task: frames of a DICOM file or slices of a NIfTI volume"
                  + " that its parameter page selects, or files of its list. A request with more"
                  + " fails with reason INVALID_REQUEST. Finished slices are kept in the payload"
                  + " store until the volume is composed.");

  /** Heap memory for the open images of a subtask. */
  public static final ConfigOption<MemorySize> MEMORY =
      ConfigOptions.key("diffusion.image.memory")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(256))
          .withDescription(
              "Heap memory for the open images of a subtask. Another image is opened only while"
                  + " the open ones take less, so the last one may exceed it. A TIFF image takes at"
                  + " most 16 MiB, another image 4 bytes for each value. Without a payload store,"
                  + " this also limits the finished tiles of one image.");

  /** Maximum heap memory of one request's images, computed from their headers. */
  public static final ConfigOption<MemorySize> MAX_DECODED_SIZE =
      ConfigOptions.key("diffusion.image.max-decoded-size")
          .memoryType()
          .noDefaultValue()
          .withDescription(
              "Maximum heap memory that one request may take to read its images, and an image task"
                  + " to compose its result, computed from the images' headers. A larger one fails"
                  + " with reason INVALID_REQUEST before anything is decoded. All subtasks of a"
                  + " process reserve this memory from half of its heap, and requests wait while it"
                  + " is in use; so half of the heap is the upper limit in any case, and the"
                  + " default. An 8-bit RGB image takes 15 bytes a pixel while it is read, a 16-bit"
                  + " RGBA image 24. Its result takes 12 bytes for each value, up to 16 million"
                  + " values; larger results are composed in files.");

  /** Parts of images (samples of tiles) that a subtask processes at once, 1 or more. */
  public static final ConfigOption<Integer> PARTS_IN_FLIGHT =
      ConfigOptions.key("diffusion.image.parts-in-flight")
          .intType()
          .defaultValue(64)
          .withDescription(
              "Maximum parts of images (each sample of each tile) that a subtask reads or has on"
                  + " the device at once, from 1. Images take turns. Memory and checkpoints hold"
                  + " these parts, never the whole of a large image. More parts than the rows of a"
                  + " network call have no effect.");

  /** Kind of file of results. */
  public static final ConfigOption<ResultFormat> FORMAT =
      ConfigOptions.key("diffusion.image.format")
          .enumType(ResultFormat.class)
          .defaultValue(ResultFormat.AUTO)
          .withDescription(
              "File type of the results of image tasks. AUTO: TIFF if the source is TIFF, and for"
                  + " floats, signed values, more than four bands and images with a place on Earth;"
                  + " else PNG. JPEG: for 8-bit gray or color images; everything else, masks and"
                  + " uncertainties are as with AUTO. DICOM (for DICOM and NIfTI sources): an image"
                  + " of the source's modality, derived from it, and DICOM SEG for segmentations;"
                  + " it names the patient only with diffusion.image.patient-data. NIFTI: a volume"
                  + " of the request's slices. Requests of several slices result in a NIfTI volume"
                  + " with AUTO, too; DICOM is then for segmentations only. Results of more than 16"
                  + " million values are always TIFF; as DICOM or NIFTI they fail.");

  /** Side of a tile in pixels of the image. Default: the model's own size. */
  public static final ConfigOption<Integer> TILE_SIZE =
      ConfigOptions.key("diffusion.tile.size")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Side of a tile in pixels of the image. Images with a longer side are cut into"
                  + " tiles of this size, which overlap and are blended. Default: the model's own"
                  + " size, for images more than twice as large; segmentations are then never cut,"
                  + " because a tile alone shows less than the whole image.");

  /** Minimum overlap of neighboring tiles in pixels, at most half a tile. Default: a quarter. */
  public static final ConfigOption<Integer> TILE_OVERLAP =
      ConfigOptions.key("diffusion.tile.overlap")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Minimum overlap of neighboring tiles in pixels of the image, up to half a tile."
                  + " Default: a quarter of a tile.");

  /** All of them, in the order in which they are documented. */
  @Internal
  public static final List<ConfigOption<?>> ALL =
      List.of(
          ENSEMBLE_SIZE,
          BANDS,
          VALUE_RANGE,
          NOT_FINITE_AS,
          PATIENT_DATA,
          MAX_PIXELS,
          MAX_SLICES,
          MEMORY,
          MAX_DECODED_SIZE,
          PARTS_IN_FLIGHT,
          FORMAT,
          TILE_SIZE,
          TILE_OVERLAP);

  private ImageTaskOptions() {}
}
