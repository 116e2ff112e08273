/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.training;

import io.github.flinkdiffusion.examples.training.data.Augmentation;
import io.github.flinkdiffusion.examples.training.data.CocoExamples;
import io.github.flinkdiffusion.examples.training.data.ExampleSet;
import io.github.flinkdiffusion.examples.training.data.Fetch;
import io.github.flinkdiffusion.examples.training.data.FolderExamples;
import io.github.flinkdiffusion.examples.training.data.IdxExamples;
import io.github.flinkdiffusion.examples.training.data.LmdbExamples;
import io.github.flinkdiffusion.examples.training.data.ShrunkExamples;
import io.github.flinkdiffusion.examples.training.data.View;
import io.github.flinkdiffusion.examples.training.data.WebDatasetExamples;
import io.github.flinkdiffusion.ops.engine.Optimizer;
import io.github.flinkdiffusion.ops.graph.Arithmetic;
import io.github.flinkdiffusion.ops.training.AverageDecay;
import io.github.flinkdiffusion.ops.training.Distance;
import io.github.flinkdiffusion.ops.training.Distillation;
import io.github.flinkdiffusion.ops.training.Distillation.Scales;
import io.github.flinkdiffusion.ops.training.HuberThreshold;
import io.github.flinkdiffusion.ops.training.LearningRate;
import io.github.flinkdiffusion.ops.training.LossSpikes;
import io.github.flinkdiffusion.ops.training.LossWeight;
import io.github.flinkdiffusion.ops.training.TrainingSettings;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.DType;
import io.github.flinkdiffusion.ops.weights.IllegalConfigException;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * The recipe of {@code examples/train}: a YAML file, whose keys docs/TRAIN.md lists.
 *
 * @param task what is trained
 * @param model folder of configs, and of weights to begin with
 * @param out folder of what is trained, and of how it goes
 * @param side of the squares that are trained on, in pixels
 * @param batch examples in a batch
 * @param loss of a denoising network
 * @param settings of the training
 * @param arithmetic in which it computes
 * @param device where
 * @param dropout probability
 * @param weightNormalization whether layers are trained as lengths and directions
 * @param storedAs type of the weights that are written, where whole networks are written
 * @param samples what is drawn of it now and then
 */
record Recipe(
    Task task,
    Path model,
    Path out,
    int side,
    int batch,
    Loss loss,
    TrainingSettings settings,
    Arithmetic arithmetic,
    String device,
    double dropout,
    boolean weightNormalization,
    DType storedAs,
    Samples samples,
    Section data,
    Section lora,
    Section token,
    Section controlnet,
    Section autoencoder,
    Section distillationSection,
    Section measureSection) {

  /** What is trained. */
  enum Task {
    /** A network of pixels without conditions. */
    UNCONDITIONAL,
    /** Stable Diffusion's denoising network, and its text encoder if asked for. */
    TEXT,
    /** Adapters of Stable Diffusion's networks. */
    LORA,
    /** A new word of Stable Diffusion. */
    INVERSION,
    /** Stable Diffusion's autoencoder. */
    AUTOENCODER,
    /** A mask of an image, by concatenation. */
    SEGMENTATION,
    /** A large image of a small one, by concatenation. */
    UPSCALE,
    /** A ControlNet of Stable Diffusion. */
    CONTROLNET,
    /** A student of a model: with fewer steps, fewer calls, or fewer parameters. */
    DISTILL;

    /** Whether all weights of a layer are trained, under the names of the model's files. */
    boolean trainsWholeLayers() {
      return switch (this) {
        case UNCONDITIONAL, TEXT, AUTOENCODER, SEGMENTATION, UPSCALE -> true;
        case LORA, INVERSION, CONTROLNET, DISTILL -> false;
      };
    }

    /** Whether a whole network is written, not a part that is added to one. */
    boolean writesWholeNetworks() {
      return trainsWholeLayers() || this == DISTILL;
    }

    /** Whether an example is two images: what is learned, and what it is learned from. */
    boolean pairs() {
      return this == SEGMENTATION || this == UPSCALE || this == CONTROLNET;
    }
  }

  /**
   * The loss of a denoising network.
   *
   * @param promptDropout share of prompts that are replaced by the empty one, for classifier-free
   *     guidance
   */
  record Loss(
      Distance distance,
      LossWeight weight,
      HuberThreshold threshold,
      double noiseOffset,
      double promptDropout,
      boolean trainsTextEncoder) {}

  /**
   * Images that are drawn of the model now and then.
   *
   * @param every so many steps; a multiple of those after which the state is saved
   */
  record Samples(int every, int count, int steps, double guidance, List<String> prompts) {}

  static Recipe read(Path file) throws IOException {
    Section all =
        Section.read(
            file,
            "task",
            "model",
            "out",
            "data",
            "side",
            "batch",
            "steps",
            "optimizer",
            "rate",
            "loss",
            "average",
            "clip",
            "accumulation",
            "dropout",
            "weight_normalization",
            "stored_as",
            "spikes",
            "save_every",
            "arithmetic",
            "device",
            "seed",
            "samples",
            "lora",
            "token",
            "controlnet",
            "autoencoder",
            "distillation",
            "measure");
    all.text("task");
    if (all.has("measure") && all.choice("task", Task.UNCONDITIONAL) != Task.UNCONDITIONAL) {
      throw all.config()
          .unsupported("measure", "of task " + all.text("task"), "it with unconditional");
    }
    boolean normalizes = all.flag("weight_normalization", false);
    if (normalizes && !all.choice("task", Task.UNCONDITIONAL).trainsWholeLayers()) {
      throw all.config()
          .unsupported(
              "weight_normalization",
              "true of task " + all.text("task"),
              "it with unconditional, text, autoencoder, segmentation and upscale");
    }
    if (all.has("stored_as") && !all.choice("task", Task.UNCONDITIONAL).writesWholeNetworks()) {
      throw all.config()
          .unsupported(
              "stored_as",
              all.text("stored_as") + " of task " + all.text("task"),
              "it with unconditional, text, autoencoder, segmentation, upscale and distill");
    }
    int saveEvery = all.whole("save_every", 250, 1);
    Section loss =
        all.section(
            "loss",
            "distance",
            "weight",
            "gamma",
            "k",
            "huber_schedule",
            "huber_c",
            "noise_offset",
            "prompt_dropout",
            "train_text_encoder");
    Section samples = all.section("samples", "every", "count", "steps", "guidance", "prompts");
    return new Recipe(
        all.choice("task", Task.UNCONDITIONAL),
        all.path("model"),
        all.path("out"),
        all.whole("side", 64, 1),
        all.whole("batch", 4, 1),
        new Loss(
            loss.choice("distance", Distance.SQUARED),
            weight(loss),
            new HuberThreshold(
                loss.choice("huber_schedule", HuberThreshold.Schedule.SNR),
                loss.number("huber_c", 0.1)),
            loss.number("noise_offset", 0),
            loss.number("prompt_dropout", 0.1),
            loss.flag("train_text_encoder", false)),
        settings(all, saveEvery),
        all.choice("arithmetic", Arithmetic.AS_STORED),
        all.text("device", "auto"),
        all.number("dropout", 0),
        normalizes,
        storedAs(all),
        new Samples(
            samples.whole("every", 4 * saveEvery, 1),
            samples.whole("count", 4, 0),
            samples.whole("steps", 20, 1),
            samples.number("guidance", 5),
            samples.config().strings("prompts", List.of())),
        all.section(
            "data",
            "layout",
            "path",
            "others",
            "labels",
            "annotations",
            "category",
            "shrink",
            "only",
            "caption",
            "fetch",
            "random_crop",
            "mirrored",
            "upside_down",
            "quarter_turns",
            "least_share",
            "brightness",
            "contrast"),
        all.section("lora", "rank", "alpha", "text_encoder"),
        all.section("token", "word", "initial", "count"),
        all.section("controlnet", "embedding"),
        all.section(
            "autoencoder", "absolute", "squared", "edges", "divergence", "warm_up", "decoder_only"),
        all.section(
            "distillation",
            "kind",
            "guidance_min",
            "guidance_max",
            "guidance_embedding",
            "solver_steps",
            "timestep_scaling",
            "student_steps",
            "teacher_steps",
            "data",
            "output",
            "blocks",
            "layers_per_block",
            "block_out_channels"),
        all.section("measure", "weights", "held_out", "count"));
  }

  private static DType storedAs(Section all) {
    String name = all.text("stored_as", "float32");
    return switch (name) {
      case "float32" -> DType.F32;
      case "float16" -> DType.F16;
      default -> throw all.config().unsupported("stored_as", name, "float32, float16");
    };
  }

  private static LossWeight weight(Section loss) {
    String name = loss.text("weight", "uniform");
    return switch (name) {
      case "uniform" -> LossWeight.UNIFORM;
      case "snr" -> new LossWeight.Snr();
      case "min_snr" -> new LossWeight.MinSnr(loss.number("gamma", 5));
      case "p2" -> new LossWeight.P2(loss.number("gamma", 0.5), loss.number("k", 1));
      default -> throw loss.config().unsupported("weight", name, "uniform, snr, min_snr, p2");
    };
  }

  /** What a student learns. */
  Distillation distillation() {
    Section d = distillationSection;
    String kind = d.text("kind");
    Scales scales = new Scales(d.number("guidance_min", 1), d.number("guidance_max", 1));
    return switch (kind) {
      case "consistency" ->
          new Distillation.Consistency(
              d.whole("solver_steps", 50, 1), d.number("timestep_scaling", 10), scales);
      case "progressive" -> new Distillation.Progressive(d.whole("student_steps", 4, 1), scales);
      case "guidance" -> new Distillation.Guidance(scales, loss.weight());
      case "pruned" ->
          new Distillation.Pruned(
              d.number("data", 1), d.number("output", 1), d.number("blocks", 0), loss.weight());
      default ->
          throw d.config().unsupported("kind", kind, "consistency, progressive, guidance, pruned");
    };
  }

  private static TrainingSettings settings(Section all, int saveEvery) {
    int steps = all.whole("steps", 1000, 1);
    Section rate = all.section("rate", "peak", "shape", "warm_up", "cycles", "least");
    Section spikes = all.section("spikes", "window", "deviations", "returns", "rise");
    return new TrainingSettings(
        optimizer(all.section("optimizer", "name", "beta1", "beta2", "epsilon", "weight_decay")),
        new LearningRate(
            rate.choice("shape", LearningRate.Shape.COSINE),
            rate.number("peak", 1e-4),
            rate.whole("warm_up", steps / 20, 0),
            steps,
            rate.whole("cycles", 1, 1),
            rate.number("least", 0)),
        new AverageDecay(all.number("average", 0.999)),
        all.number("clip", 1),
        all.whole("accumulation", 1, 1),
        new LossSpikes(
            spikes.whole("window", LossSpikes.DEFAULT.window(), 2),
            spikes.number("deviations", LossSpikes.DEFAULT.deviations()),
            spikes.whole("returns", LossSpikes.DEFAULT.returns(), 0),
            spikes.number("rise", LossSpikes.DEFAULT.rise())),
        saveEvery,
        all.whole("seed", 0, 0));
  }

  private static Optimizer optimizer(Section section) {
    String name = section.text("name", "adamw");
    double decay = section.number("weight_decay", 0.01);
    double beta1 = section.number("beta1", 0.9);
    double epsilon = section.number("epsilon", 1e-8);
    return switch (name) {
      case "adam" -> new Optimizer.Adam(beta1, section.number("beta2", 0.999), epsilon, decay);
      case "adamw" -> new Optimizer.AdamW(beta1, section.number("beta2", 0.999), epsilon, decay);
      case "lion" -> new Optimizer.Lion(beta1, section.number("beta2", 0.99), decay);
      case "adafactor" -> {
        Optimizer.Adafactor standard = Optimizer.Adafactor.DEFAULT;
        yield new Optimizer.Adafactor(
            standard.beta2Decay(),
            standard.epsilon1(),
            standard.epsilon2(),
            standard.updateLimit(),
            decay);
      }
      default -> throw section.config().unsupported("name", name, "adam, adamw, lion, adafactor");
    };
  }

  /** The data, by its layout. */
  ExampleSet examples() {
    ExampleSet all = stored();
    return data.has("shrink") ? new ShrunkExamples(all, data.whole("shrink", side, side)) : all;
  }

  /** Whether the trained model is measured beside photographs. */
  boolean measures() {
    return measureSection.has("held_out");
  }

  /**
   * Images that are not trained on, of the same folder.
   *
   * @throws IllegalConfigException if some of them are trained on
   */
  ExampleSet heldOut() {
    Path folder = data.path("path");
    Path list = measureSection.path("held_out");
    if (!data.has("only")) {
      throw data.config().unsupported("only", "all images", "a list, since some are held out");
    }
    Set<String> both = FolderExamples.listed(list);
    both.retainAll(FolderExamples.listed(data.path("only")));
    if (!both.isEmpty()) {
      throw measureSection
          .config()
          .unsupported("held_out", list + " with " + both, "images that data.only does not name");
    }
    ExampleSet all = FolderExamples.plain(folder).only(folder, list);
    return data.has("shrink") ? new ShrunkExamples(all, data.whole("shrink", side, side)) : all;
  }

  private ExampleSet stored() {
    String layout = data.text("layout");
    String caption = data.text("caption", "{class}");
    return switch (layout) {
      case "images" -> chosen(FolderExamples.plain(data.path("path")));
      case "classes" -> chosen(FolderExamples.classes(data.path("path"), caption));
      case "captions" -> chosen(FolderExamples.captions(data.path("path")));
      case "pairs" -> chosen(FolderExamples.pairs(data.path("path"), data.path("others")));
      case "idx" -> IdxExamples.open(data.path("path"), data.optionalPath("labels"), caption);
      case "coco" -> CocoExamples.captions(data.path("path"), data.path("annotations"));
      case "coco_masks" -> instances(CocoExamples.Shape.SEGMENTATION);
      case "coco_boxes" -> instances(CocoExamples.Shape.BOX);
      case "webdataset" -> WebDatasetExamples.open(data.path("path"));
      case "lmdb" -> LmdbExamples.open(data.path("path"));
      default ->
          throw data.config()
              .unsupported(
                  "layout",
                  layout,
                  "images, classes, captions, pairs, idx, coco, coco_masks, coco_boxes, webdataset,"
                      + " lmdb");
    };
  }

  private ExampleSet instances(CocoExamples.Shape shape) {
    Optional<String> category =
        data.has("category") ? Optional.of(data.text("category")) : Optional.empty();
    Config index = ModelFolder.open(model).config();
    if (task == Task.SEGMENTATION && index.string("sample_target", "mask").equals("one_hot")) {
      if (category.isPresent()) {
        throw data.config()
            .unsupported(
                "category",
                category.get(),
                "none with a model of several classes, which are those of its labels");
      }
      int background = index.integer("background", 0);
      return CocoExamples.classes(
          data.path("path"),
          data.path("annotations"),
          new CocoExamples.Classes(
              index.strings("labels"),
              background < 0 ? OptionalInt.empty() : OptionalInt.of(background)),
          shape);
    }
    return CocoExamples.instances(data.path("path"), data.path("annotations"), category, shape);
  }

  private FolderExamples chosen(FolderExamples all) {
    return data.optionalPath("only").map(list -> all.only(data.path("path"), list)).orElse(all);
  }

  /** What the data is fetched from, before it is read. */
  List<Fetch> fetches() {
    return data.sections("fetch", "url", "sha256", "license", "folder").stream()
        .map(
            each ->
                new Fetch(
                    each.text("url"),
                    each.text("sha256"),
                    each.text("license"),
                    each.path("folder")))
        .toList();
  }

  /** How images become squares of a network's channels. */
  View view(int channels) {
    return new View(side, channels, augmentation());
  }

  private Augmentation augmentation() {
    return new Augmentation(
        data.flag("random_crop", false),
        data.flag("mirrored", false),
        data.flag("upside_down", false),
        data.flag("quarter_turns", false),
        data.number("least_share", 1),
        data.number("brightness", 0),
        data.number("contrast", 0));
  }

  /** Whether an image is the same each time that it is trained on. */
  boolean repeatsImages() {
    return augmentation().equals(Augmentation.NONE);
  }

  /** A caption for images that have none. */
  Optional<String> caption() {
    return data.has("caption") ? Optional.of(data.text("caption")) : Optional.empty();
  }
}
