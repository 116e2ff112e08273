/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.ImageException;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Which of the texts that a request names fits its image best: transformers' {@code
 * zero-shot-image-classification} with a CLIPModel. A trajectory has one step, which compares.
 */
final class LabelPipeline implements DiffusionPipeline {
  /** As transformers' {@code hypothesis_template}. */
  private static final String TEMPLATE = "This is a photo of {}.";

  /** Texts whose directions are kept: requests of a stream mostly have the same labels. */
  private static final int KEPT_TEXTS = 1024;

  /** Texts of a network call. */
  private static final int TEXTS_OF_A_CALL = 32;

  private static final float[] NOTHING = new float[1];
  private static final float[][] NO_HISTORY = {};
  private static final byte[] NO_NOISE = {};

  private final ModelInfo info;
  private final Components components;
  private final ModelCheck check;
  private final ClipComparison clip;
  private final Model model = new LabelModel();

  /** Device thread. */
  private final Map<String, double[]> directions =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, double[]> eldest) {
          return size() > KEPT_TEXTS;
        }
      };

  /**
   * @param components closed with this, as is {@code check}
   */
  LabelPipeline(ModelFolder folder, ModelInfo info, Components components, ModelCheck check) {
    this.info = info;
    this.components = components;
    this.check = check;
    this.clip = new ClipComparison(folder, components);
  }

  @Override
  public Model model() {
    return model;
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    return requests.stream().<Trajectory>map(Image::new).toList();
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    return start(snapshots.stream().map(TrajectorySnapshot::request).toList());
  }

  @Override
  public void step(List<Trajectory> batch) {
    List<Image> images = batch.stream().map(Image.class::cast).toList();
    List<double[]> seen =
        clip.images(images.stream().map(each -> each.request.get(Parameters.IMAGE)).toList());
    List<float[]> shares = new ArrayList<>(images.size());
    List<Integer> notFinite = new ArrayList<>();
    for (int i = 0; i < images.size(); i++) {
      float[] of =
          ClipComparison.softmax(clip.scores(seen.get(i), directions(images.get(i).texts())));
      shares.add(of);
      if (!Float.isFinite(of[0])) {
        notFinite.add(i);
      }
    }
    if (!notFinite.isEmpty()) {
      // It may be the weights and not the request.
      check.digest();
      throw new NotFiniteException(
          "The scores of request '%s' are not finite. A model can overflow in half precision; use float32."
              .formatted(images.get(notFinite.get(0)).request.id()),
          notFinite);
    }
    for (int i = 0; i < images.size(); i++) {
      images.get(i).shares = shares.get(i);
    }
  }

  private List<double[]> directions(List<String> texts) {
    Map<String, double[]> found = new LinkedHashMap<>();
    List<String> unknown = new ArrayList<>();
    for (String text : texts) {
      double[] known = directions.get(text);
      found.put(text, known);
      if (known == null) {
        unknown.add(text);
      }
    }
    for (int from = 0; from < unknown.size(); from += TEXTS_OF_A_CALL) {
      List<String> some = unknown.subList(from, Math.min(from + TEXTS_OF_A_CALL, unknown.size()));
      List<double[]> computed = clip.texts(some);
      for (int i = 0; i < some.size(); i++) {
        found.put(some.get(i), computed.get(i));
        directions.put(some.get(i), computed.get(i));
      }
    }
    return List.copyOf(found.values());
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    // Nothing of weights that have not been checked, or have been changed where they are mapped.
    check.digest();
    check.requireNotWritten();
    return batch.stream()
        .map(Image.class::cast)
        .map(image -> GeneratedImage.ofText(image.request, image.result()))
        .toList();
  }

  @Override
  public void close() {
    check.close();
    components.close();
  }

  /** One image under way. */
  private final class Image implements Trajectory {
    private final GenerationRequest request;

    /** Of each label; null before the step. */
    private float[] shares;

    Image(GenerationRequest request) {
      this.request = request;
    }

    private List<String> texts() {
      return LabelPipeline.texts(request);
    }

    private GeneratedText result() {
      List<String> labels = ImageLabels.parse(request.get(Parameters.CANDIDATE_LABELS));
      Map<String, Float> each = new LinkedHashMap<>();
      int best = 0;
      for (int i = 0; i < shares.length; i++) {
        each.put(labels.get(i), shares[i]);
        best = shares[i] > shares[best] ? i : best;
      }
      return new GeneratedText(labels.get(best), 0, true, each);
    }

    @Override
    public GenerationRequest request() {
      return request;
    }

    @Override
    public int step() {
      return shares == null ? 0 : 1;
    }

    @Override
    public int totalSteps() {
      return 1;
    }

    @Override
    public int rows() {
      return 1;
    }

    /** Images with any labels share calls. */
    @Override
    public Object batchKey() {
      return LabelPipeline.class;
    }

    /** Of the state before the step, which costs little and gives the same again. */
    @Override
    public TrajectorySnapshot snapshot() {
      return new TrajectorySnapshot(request, info.basis(), 0, NOTHING, NO_HISTORY, NO_NOISE);
    }
  }

  private static List<String> texts(GenerationRequest request) {
    String template = request.get(Parameters.LABEL_TEMPLATE);
    return ImageLabels.parse(request.get(Parameters.CANDIDATE_LABELS)).stream()
        .map(label -> template.replace(ImageLabels.PLACE, label))
        .toList();
  }

  private final class LabelModel implements Model {
    private final Signature signature =
        Signature.of("CLIPModel")
            .required(Parameters.IMAGE)
            .required(Parameters.CANDIDATE_LABELS)
            .withDefault(Parameters.LABEL_TEMPLATE, TEMPLATE);

    @Override
    public ModelInfo info() {
      return info;
    }

    @Override
    public Signature signature() {
      return signature;
    }

    @Override
    public ResultMeaning result(Arguments request) {
      return ResultMeaning.TEXT;
    }

    @Override
    public String taskName(Arguments request) {
      return "zero-shot-image-classification";
    }

    @Override
    public GenerationRequest prepare(GenerationSpec spec) {
      GenerationRequest request = signature.resolve(spec);
      Raster image = request.get(Parameters.IMAGE);
      try {
        clip.check(image);
      } catch (ImageException e) {
        throw new InvalidRequestException(e.getMessage());
      }
      for (String text : texts(request)) {
        int tokens = clip.tokens(text);
        if (tokens > clip.maxTokens()) {
          throw new InvalidRequestException(
              "The text '%s' has %d tokens; the model takes at most %d."
                  .formatted(Parameter.shown(text), tokens, clip.maxTokens()));
        }
      }
      return request;
    }

    @Override
    public int calls(GenerationRequest request) {
      return 1;
    }

    @Override
    public long encodedPixels(GenerationRequest request) {
      return clip.imagePixels();
    }
  }
}
