/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import io.github.flinkdiffusion.connector.event.ImageTaskEvent;
import io.github.flinkdiffusion.connector.payload.PayloadChannel;
import io.github.flinkdiffusion.connector.payload.PayloadException;
import io.github.flinkdiffusion.ops.batching.StepBatcher;
import io.github.flinkdiffusion.ops.credentials.Origin;
import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.NoDataMask;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.image.SlicePlane;
import io.github.flinkdiffusion.ops.image.Window;
import io.github.flinkdiffusion.ops.imaging.Composition;
import io.github.flinkdiffusion.ops.imaging.Ensemble;
import io.github.flinkdiffusion.ops.imaging.ModelBands;
import io.github.flinkdiffusion.ops.imaging.Scene;
import io.github.flinkdiffusion.ops.imaging.Selection;
import io.github.flinkdiffusion.ops.imaging.TaskPlan;
import io.github.flinkdiffusion.ops.pipeline.Arguments;
import io.github.flinkdiffusion.ops.pipeline.GenerationRequest;
import io.github.flinkdiffusion.ops.pipeline.GenerationSpec;
import io.github.flinkdiffusion.ops.pipeline.InvalidRequestException;
import io.github.flinkdiffusion.ops.pipeline.Model;
import io.github.flinkdiffusion.ops.pipeline.Numbers;
import io.github.flinkdiffusion.ops.pipeline.Parameter;
import io.github.flinkdiffusion.ops.pipeline.Parameters;
import io.github.flinkdiffusion.ops.pipeline.ResultKind;
import io.github.flinkdiffusion.ops.pipeline.ResultMeaning;
import io.github.flinkdiffusion.ops.pipeline.Seeds;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * An image task whose images are open and whose parts are known: all that follows from the request
 * and the job's settings before the device is asked. Any thread may use it; closing it closes the
 * images.
 */
final class OpenImageTask implements AutoCloseable {
  static final String IMAGE = "image";
  static final String MASK = "mask";

  private final TaskSources sources;
  private final TaskScenes image;
  private final Optional<TaskScenes> mask;

  /** The other images, by the parameter that each is. */
  private final Map<Parameter<Raster>, Raster> others;

  private final ModelBands bands;
  private static final Raster ONE_PIXEL = new Raster(1, 1, 1, new float[1]);

  private final ImageSettings how;
  private final TaskPlan plan;
  private final boolean placed;
  private final GenerationSpec asked;
  private final GenerationRequest first;

  /** The request's parameters that choose a part of its image. */
  private final Map<String, String> selected;

  /** What the image is mixed with, if it is a frame that has one before it. */
  private final Optional<FrameBlend> blend;

  private final Model model;

  private OpenImageTask(
      TaskSources sources,
      TaskScenes image,
      Optional<TaskScenes> mask,
      Map<Parameter<Raster>, Raster> others,
      ModelBands bands,
      ImageSettings how,
      TaskPlan plan,
      boolean placed,
      GenerationSpec asked,
      GenerationRequest first,
      Map<String, String> selected,
      Optional<FrameBlend> blend,
      Model model) {
    this.sources = sources;
    this.image = image;
    this.mask = mask;
    this.others = others;
    this.bands = bands;
    this.how = how;
    this.plan = plan;
    this.placed = placed;
    this.asked = asked;
    this.first = first;
    this.selected = selected;
    this.blend = blend;
    this.model = model;
  }

  /**
   * Opens the request's images and asks the model whether it can do the first part.
   *
   * @param sources for which {@link TaskSources#bytes} of heap are reserved; closed with the task,
   *     and when this fails
   * @param blend what the image is mixed with
   * @param texts whether results are texts
   * @throws InvalidRequestException for a request that cannot be done
   * @throws ImageException for an image that cannot be read, or has the wrong bands
   */
  static OpenImageTask open(
      ImageTaskEvent event,
      DiffusionSettings settings,
      StepBatcher batcher,
      TaskSources sources,
      Optional<FrameBlend> blend,
      boolean texts) {
    try {
      return opened(event, settings, batcher, sources, blend, texts);
    } catch (RuntimeException | Error e) {
      sources.close();
      throw e;
    }
  }

  private static OpenImageTask opened(
      ImageTaskEvent event,
      DiffusionSettings settings,
      StepBatcher batcher,
      TaskSources sources,
      Optional<FrameBlend> blend,
      boolean texts) {
    ImageSettings how = settings.image();
    int samples = samples(event, how);
    Arguments wanted = Events.asked(event);
    requireKind(batcher, wanted, texts, samples);
    WantedSize size = WantedSize.of(wanted);
    int[] own = new int[2];
    TaskScenes image =
        sources
            .image()
            .open(
                how,
                scene -> {
                  own[0] = scene.width();
                  own[1] = scene.height();
                  return size.of(scene);
                });
    Optional<TaskScenes> mask = Optional.empty();
    try {
      if (event.getMask() != null) {
        mask =
            Optional.of(
                sources
                    .mask()
                    .orElseThrow()
                    .open(
                        how,
                        scene -> {
                          requireSize(own[0], own[1], scene);
                          return size.of(scene);
                        }));
      }
      Map<Parameter<Raster>, Raster> others = sources.others().read();
      ModelBands bands =
          ModelBands.fit(
              image.first().format().bands(),
              image.first().channels(),
              batcher.model().imageChannels(),
              sources.image().selection().bands().isPresent() ? List.of() : how.bands());
      TaskPlan plan =
          TaskCut.plan(image.first(), batcher, settings, samples, wanted).ofSlices(image.slices());
      if (image.slices() > 1 && texts) {
        throw new InvalidRequestException(
            "The image has %d slices; a text is about one. Select it with the parameter page."
                .formatted(image.slices()));
      }
      if (image.slices() > 1) {
        VolumeResults.require(
            plan, batcher.model().result(wanted), how, sources.image().places(how));
      }
      if (plan.isTiled()) {
        NamedImages.requirePlaced(plan, others);
      }
      if (blend.isPresent()) {
        blend
            .get()
            .require(image.first().format(), plan, batcher.model(), batcher.model().result(wanted));
      }
      GenerationSpec asked =
          Events.spec(event.getId(), wanted, settings, batcher.model().signature());
      OpenImageTask unchecked =
          new OpenImageTask(
              sources,
              image,
              mask,
              others,
              bands,
              how,
              plan,
              plan.isTiled(),
              asked,
              null,
              Map.of(),
              blend,
              batcher.model());
      GenerationRequest first = settings.limits().prepare(batcher, unchecked.spec(0));
      Map<String, String> selected = new TreeMap<>(event.getParameters());
      selected.keySet().retainAll(Selection.PARAMETERS);
      return new OpenImageTask(
          sources,
          image,
          mask,
          others,
          bands,
          how,
          plan,
          plan.isTiled(),
          asked,
          first,
          selected,
          blend,
          batcher.model());
    } catch (RuntimeException | Error e) {
      image.close();
      mask.ifPresent(TaskScenes::close);
      throw e;
    }
  }

  private static void requireKind(
      StepBatcher batcher, Arguments wanted, boolean texts, int samples) {
    // Whether there is an image may decide, and there is one.
    boolean writes =
        batcher.model().result(wanted.with(Parameters.IMAGE, ONE_PIXEL)).kind() == ResultKind.TEXT;
    String name = batcher.model().info().name();
    if (writes && !texts) {
      throw new InvalidRequestException(
          "Model %s writes texts, which this operator does not emit; use Diffusion.imageToText()."
              .formatted(name));
    }
    if (texts && !writes) {
      throw new InvalidRequestException(
          "Model %s generates images, which this operator does not emit; use Diffusion.imageTasks()."
              .formatted(name));
    }
    if (texts && samples > 1) {
      throw new InvalidRequestException(
          "ensembleSize is %d; texts have no mean, so it must be 1.".formatted(samples));
    }
  }

  /**
   * How many samples of the image are asked for.
   *
   * @throws InvalidRequestException when these are too many, or none
   */
  static int samples(ImageTaskEvent event, ImageSettings how) {
    int samples = event.getEnsembleSize() == null ? how.ensembleSize() : event.getEnsembleSize();
    if (samples < 1 || samples > Ensemble.MOST_SAMPLES) {
      throw new InvalidRequestException(
          "ensembleSize is %d; it must be from 1 to %d.".formatted(samples, Ensemble.MOST_SAMPLES));
    }
    return samples;
  }

  private static void requireSize(int width, int height, Scene mask) {
    if (width != mask.width() || height != mask.height()) {
      throw new InvalidRequestException(
          "The mask is %d x %d pixels; it must be as large as the image, or as the part of it that is selected, %d x %d."
              .formatted(mask.width(), mask.height(), width, height));
    }
  }

  /**
   * What one part asks of the model; reads its part of the image.
   *
   * @return empty when the model would see no data at all, and need not be asked
   */
  Optional<GenerationSpec> work(int part) {
    Raster seen = read(plan.tileOf(part));
    boolean empty = seen.noData().flatMap(bands::toModel).map(NoDataMask::isWhole).orElse(false);
    return empty ? Optional.empty() : Optional.of(spec(part, seen));
  }

  /** As {@link #work}, whether there is data or not. */
  private GenerationSpec spec(int part) {
    return spec(part, read(plan.tileOf(part)));
  }

  private Raster read(int tile) {
    return plan.read(image.slice(plan.sliceOf(tile)), tile);
  }

  private GenerationSpec spec(int part, Raster seen) {
    int tile = plan.tileOf(part);
    Raster ofImage = bands.toModel(seen);
    GenerationSpec spec =
        asked.with(
            Parameters.IMAGE,
            blend.map(previous -> previous.mixedInto(ofImage, model)).orElse(ofImage));
    if (mask.isPresent()) {
      spec = spec.with(Parameters.MASK, ModelBands.gray(plan.read(mask.get().first(), tile)));
    }
    spec = NamedImages.with(spec, placed ? NamedImages.ofTile(plan, tile, others) : others);
    if (placed) {
      Window window = plan.resultWindow(tile);
      spec = spec.with(Parameters.TILE_TOP_LEFT, new Numbers(window.x(), window.y()));
    }
    return Seeds.ofSample(spec, plan.sampleOf(part));
  }

  TaskPlan plan() {
    return plan;
  }

  /** What must be equal for progress on parts to be worth anything. */
  String fingerprint() {
    return new TaskFingerprint(plan, sources, how, whole().arguments()).text();
  }

  /**
   * @throws PayloadException when a file that is read where it lies was replaced meanwhile
   */
  void requireUnchanged() {
    sources.channels().forEach(PayloadChannel::requireUnchanged);
  }

  /** Pixels of a tile's result, {@code y * width + x}, of which the model saw no data. */
  BitSet noData(int tile, Raster result) {
    return image.slice(plan.sliceOf(tile)).mayLackData()
        ? read(tile)
            .noData()
            .flatMap(bands::toModel)
            .flatMap(mask -> mask.resized(result.height(), result.width()))
            .map(NoDataMask::pixels)
            .orElseGet(BitSet::new)
        : new BitSet();
  }

  /** The result of a tile without data, where no other tile tells how many channels it has. */
  Raster emptyResult(int tile, ResultMeaning meaning) {
    int channels =
        switch (meaning.kind()) {
          case PICTURE, BOXES -> bands.source().isEmpty() ? 1 : bands.source().size();
          case MASK -> meaning.classes().orElseThrow().shareChannels();
          case DEPTH -> 1;
          case NORMALS -> 3;
          case TEXT -> throw new IllegalArgumentException("A text is no image.");
        };
    Window window = plan.resultWindow(tile);
    return Raster.filled(
        channels + (plan.samples() > 1 ? 1 : 0), window.height(), window.width(), 0);
  }

  /** The first part's request: what all parts have in common, and its seed. */
  GenerationRequest first() {
    return first;
  }

  /** What all parts have in common: the first one's request without its place and size. */
  GenerationRequest whole() {
    return new GenerationRequest(
        first.id(),
        first.arguments().without(Parameters.TILE_TOP_LEFT, Parameters.WIDTH, Parameters.HEIGHT));
  }

  /** SHA-256 of the images' files by their field in the request. */
  SortedMap<String, String> inputDigests() {
    SortedMap<String, String> digests = new TreeMap<>(Map.of(IMAGE, sources.image().digest()));
    sources.mask().ifPresent(input -> digests.put(MASK, input.digest()));
    digests.putAll(sources.others().digests());
    blend.ifPresent(previous -> digests.put(FrameBlend.PREVIOUS, previous.digest()));
    return digests;
  }

  /** What the images say of themselves. Reads their files. */
  List<Origin.Input> credentials() {
    List<Origin.Input> inputs = new ArrayList<>();
    inputs.add(new Origin.Input(IMAGE, true, sources.image().credentials()));
    sources.mask().ifPresent(it -> inputs.add(new Origin.Input(MASK, false, it.credentials())));
    inputs.addAll(sources.others().credentials());
    return inputs;
  }

  /** What the result is besides the request, for its audit record. */
  Map<String, String> furtherParameters(ImageSettings how) {
    Map<String, String> further = new TreeMap<>();
    further.put(Replay.ENSEMBLE_SIZE, Integer.toString(plan.samples()));
    further.put(Replay.INPUT_WIDTH, Integer.toString(plan.width()));
    further.put(Replay.INPUT_HEIGHT, Integer.toString(plan.height()));
    PageRange pages = sources.image().pages();
    if (!pages.equals(PageRange.FIRST) || sources.image().isList()) {
      further.put(Events.PAGE, pages.toString());
    }
    SlicePlane plane = sources.image().plane();
    if (plane != SlicePlane.AXIAL) {
      further.put(Events.PLANE, plane.name().toLowerCase(Locale.ROOT));
    }
    if (placed) {
      further.put("tiles", plan.fingerprint());
    }
    if (sources.image().channel().isPresent()) {
      further.put("imageRead", "by ranges; its SHA-256 is what the request says");
    }
    blend.ifPresent(previous -> further.put(FrameBlend.BLEND, Double.toString(previous.share())));
    further.putAll(how.parameters());
    further.putAll(selected);
    return further;
  }

  long heapBytes() {
    long ofOthers = others.values().stream().mapToLong(each -> each.data().length).sum();
    return image.heapBytes() + mask.map(TaskScenes::heapBytes).orElse(0L) + ofOthers * Float.BYTES;
  }

  /** How the result of a slice is to be written. */
  Composition.Order order(
      int slice,
      ResultMeaning meaning,
      Raster firstTile,
      ImageSettings how,
      Map<String, String> texts,
      Path scratch) {
    return new Composition.Order(
        plan,
        image.slice(slice),
        bands,
        meaning,
        firstTile,
        plan.slices() > 1 ? VolumeResults.format(how) : how.format(),
        texts,
        scratch);
  }

  @Override
  public void close() {
    image.close();
    mask.ifPresent(TaskScenes::close);
    sources.others().close();
  }
}
