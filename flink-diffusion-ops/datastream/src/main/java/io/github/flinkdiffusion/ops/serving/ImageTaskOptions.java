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
              "Samples of an image task that names no number, 1 to 64, each from a seed of its own:"
                  + " the result is their mean (of masks, the share of samples), and how much they"
                  + " differ is its uncertainty.");

  /** The bands that the model sees, from 1, in its order. */
  public static final ConfigOption<List<Integer>> BANDS =
      ConfigOptions.key("diffusion.image.bands")
          .intType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "Which of an image's bands the model sees, counted from 1, in its order, such as"
                  + " 3;2;1 for a satellite's blue, green, red. Without it, opacity is left out,"
                  + " gray is shown as three equal bands and color as gray where the model wants"
                  + " it, and other numbers of bands are refused.");

  /** The image's numbers that are black and white for the model, as {@code black..white}. */
  public static final ConfigOption<String> VALUE_RANGE =
      ConfigOptions.key("diffusion.image.value-range")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Which of an image's numbers are black and white for the model, such as 0..10000 for"
                  + " reflectances or -160..240 for Hounsfield units. Results are in the image's"
                  + " numbers again. Without it, what the file says (a DICOM window), else all that"
                  + " its type can hold.");

  /** The number in place of infinity and NaN. Default: such an image is refused. */
  public static final ConfigOption<Double> NOT_FINITE_AS =
      ConfigOptions.key("diffusion.image.not-finite-as")
          .doubleType()
          .noDefaultValue()
          .withDescription(
              "The number that is taken where an image holds infinity or what is not a number."
                  + " Without it, such an image is refused.");

  /** Whether a DICOM file's patient data is copied into results. */
  public static final ConfigOption<Boolean> PATIENT_DATA =
      ConfigOptions.key("diffusion.image.patient-data")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Whether what a DICOM file says of its patient is copied into results. Without it,"
                  + " only what is needed to understand the pixels is.");

  /** Maximum pixels of a TIFF image. */
  public static final ConfigOption<Long> MAX_PIXELS =
      ConfigOptions.key("diffusion.image.max-pixels")
          .longType()
          .defaultValue(1L << 30)
          .withDescription(
              "Most pixels of a TIFF image, which is read by parts. Images of other kinds are read"
                  + " as a whole and have at most 4096 x 4096.");

  /** Maximum slices of one image task. */
  public static final ConfigOption<Integer> MAX_SLICES =
      ConfigOptions.key("diffusion.image.max-slices")
          .intType()
          .defaultValue(2048)
          .withDescription(
              "Maximum slices of one image task: frames of a DICOM file or slices of a NIfTI volume"
                  + " that its parameter page names, or files of its list. More fail with reason"
                  + " INVALID_REQUEST. Their results are kept in the payload store until the volume"
                  + " is composed.");

  /** Heap memory for the open images of a subtask. */
  public static final ConfigOption<MemorySize> MEMORY =
      ConfigOptions.key("diffusion.image.memory")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(256))
          .withDescription(
              "Heap memory for the images that a subtask works on: another one is opened only while"
                  + " those that are open take less, so the last one may exceed it. A TIFF image"
                  + " takes 16 MiB at most, one of another kind 4 bytes for each number. It also"
                  + " bounds the tiles' results of one image where there is no payload store.");

  /** Maximum heap memory of one image task, computed from the headers of its images. */
  public static final ConfigOption<MemorySize> MAX_DECODED_SIZE =
      ConfigOptions.key("diffusion.image.max-decoded-size")
          .memoryType()
          .noDefaultValue()
          .withDescription(
              "Maximum heap memory that one image task may take for reading its images and for"
                  + " composing its result, as computed from the images' headers; a larger one"
                  + " fails with reason INVALID_REQUEST before anything is decoded. All subtasks of"
                  + " a process reserve this memory from half of its heap, and requests wait while"
                  + " it is taken; so half of the heap is the maximum without this option, and in"
                  + " any case. An 8-bit RGB image takes 15 bytes a pixel while it is read, a"
                  + " 16-bit RGBA image 24; its result takes 12 bytes for each of its numbers, up"
                  + " to 16 million of them, since larger results are composed in files.");

  /** Parts of images (samples of tiles) that a subtask processes at once, 1 or more. */
  public static final ConfigOption<Integer> PARTS_IN_FLIGHT =
      ConfigOptions.key("diffusion.image.parts-in-flight")
          .intType()
          .defaultValue(64)
          .withDescription(
              "Parts of images (each sample of each tile) that a subtask reads or has on the device"
                  + " at once, from 1. Images take turns. Memory and checkpoints hold these parts,"
                  + " never the whole of a large image; more than a network call has rows is of no"
                  + " use.");

  /** Kind of file of results. */
  public static final ConfigOption<ResultFormat> FORMAT =
      ConfigOptions.key("diffusion.image.format")
          .enumType(ResultFormat.class)
          .defaultValue(ResultFormat.AUTO)
          .withDescription(
              "Kind of file of image tasks' results: PNG, TIFF, JPEG, DICOM, NIFTI, or AUTO, which is TIFF for"
                  + " what was TIFF, for floats, signed numbers, more than four bands and images with"
                  + " a place on Earth, else PNG. JPEG holds images of 8 bits, gray or in color; everything"
                  + " else, and masks and uncertainties, are as with AUTO. DICOM (for DICOM and NIfTI images) is an image of"
                  + " the source's modality, derived from it, and DICOM SEG for segmentations; with"
                  + " diffusion.image.patient-data it names the patient, without it is"
                  + " de-identified. NIFTI is a volume of the request's slices."
                  + " Requests of several slices have a NIFTI volume with AUTO, too, and DICOM is for segmentations alone."
                  + " Results of more than 16 million numbers are TIFF always; as DICOM and NIFTI they fail.");

  /** Side of a tile in pixels of the image. Default: the model's own size. */
  public static final ConfigOption<Integer> TILE_SIZE =
      ConfigOptions.key("diffusion.tile.size")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Side of a tile in pixels of the image: images with a longer side are cut into tiles"
                  + " of this size, which overlap and are blended. Without it, the model's own"
                  + " size, for images more than twice as large; segmentations are then never cut,"
                  + " since what a tile shows alone means less than the whole.");

  /** Minimum overlap of neighboring tiles in pixels, at most half a tile. Default: a quarter. */
  public static final ConfigOption<Integer> TILE_OVERLAP =
      ConfigOptions.key("diffusion.tile.overlap")
          .intType()
          .noDefaultValue()
          .withDescription(
              "By how many pixels of the image neighbouring tiles overlap at least, up to half a"
                  + " tile. Without it, a quarter of a tile.");

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
