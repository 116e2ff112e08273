/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * diffusers' UniDiffuserPipeline: images and texts together, either from the other, or one alone
 * ({@link JointMode}). Every row of a call of the denoising network has an image and a text, so
 * requests of all modes share calls. A text is then written token by token, each a step of its own.
 */
final class JointPipeline implements DiffusionPipeline {
  private static final Logger LOG = LoggerFactory.getLogger(JointPipeline.class);

  private final JointNetworks networks;
  private final Finishing finishing;
  private final ModelCheck check;
  private final ModelInfo info;
  private final Basis basis;
  private final Signature signature;
  private final Model model = new JointModel();

  /**
   * @param check of all weights, closed with this
   */
  JointPipeline(ModelInfo info, JointNetworks networks, Finishing finishing, ModelCheck check) {
    this.info = info;
    this.basis = info.basis();
    this.networks = networks;
    this.finishing = finishing;
    this.check = check;
    Signature takes =
        Signature.of("UniDiffuserPipeline")
            .optional(Parameters.PROMPT)
            .optional(Parameters.IMAGE)
            .withDefault(
                Parameters.MODE,
                "text2img with a prompt, img2text with an image, else joint",
                asked -> JointMode.of(asked).word())
            .withDefault(Parameters.STEPS, 50L)
            .withDefault(Parameters.GUIDANCE_SCALE, 8.0)
            .withDefault(Parameters.SCHEDULER, networks.plans().own())
            .withDefault(Parameters.ETA, 0.0)
            .withDefault(Parameters.WIDTH, (long) networks.side())
            .withDefault(Parameters.HEIGHT, (long) networks.side());
    this.signature = networks.hasDataType() ? takes.withDefault(Parameters.DATA_TYPE, 1L) : takes;
  }

  @Override
  public Model model() {
    return model;
  }

  // ------------------------------------------------------------------ beginning

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    List<TrajectoryNoise> noises = requests.stream().map(TrajectoryNoise::of).toList();
    List<JointTrajectory.Start> starts = starts(requests, noises);
    List<Trajectory> trajectories = new ArrayList<>(requests.size());
    for (int i = 0; i < requests.size(); i++) {
      trajectories.add(fresh(requests.get(i), starts.get(i), noises.get(i)));
    }
    return trajectories;
  }

  private JointTrajectory fresh(
      GenerationRequest request, JointTrajectory.Start start, TrajectoryNoise noise) {
    return new JointTrajectory(
        request, basis, networks, start, start.state(), noise, AverageBeams.begin());
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    List<GenerationRequest> requests = snapshots.stream().map(TrajectorySnapshot::request).toList();
    List<TrajectoryNoise> noises = requests.stream().map(TrajectoryNoise::of).toList();
    List<JointTrajectory.Start> starts = starts(requests, noises);
    List<Trajectory> trajectories = new ArrayList<>(snapshots.size());
    for (int i = 0; i < snapshots.size(); i++) {
      trajectories.add(resume(snapshots.get(i), starts.get(i), noises.get(i)));
    }
    return trajectories;
  }

  /** What does not fit its plan any more begins anew, as in {@link TaskPipeline}. */
  private JointTrajectory resume(
      TrajectorySnapshot snapshot, JointTrajectory.Start start, TrajectoryNoise atStart) {
    GenerationRequest request = snapshot.request();
    SamplingPlan plan = start.state().plan();
    int size = start.state().size();
    try {
      float[] saved = snapshot.sample();
      boolean writing = snapshot.step() >= plan.calls() && start.mode().texts();
      List<AverageBeams.Beam> beams = AverageBeams.begin();
      if (saved.length != size + (writing ? networks.beams().savedSize() : 0)) {
        throw new SchedulerException(
            "the sample has %d values, of which %d are the model's".formatted(saved.length, size));
      }
      if (writing) {
        beams = networks.beams().restore(saved, size);
        if (beams == null || plan.calls() + AverageBeams.length(beams) != snapshot.step()) {
          throw new SchedulerException("its tokens are not those of a text");
        }
        saved = Arrays.copyOf(saved, size);
      }
      return new JointTrajectory(
          request,
          basis,
          networks,
          start,
          SamplerState.restore(
              plan, Math.min(snapshot.step(), plan.calls()), saved, snapshot.history()),
          atStart.restored(snapshot.generator()),
          beams);
    } catch (SchedulerException e) {
      LOG.warn(
          "Request '{}', saved at step {}, does not fit this model and starts again: {}",
          request.id(),
          snapshot.step(),
          e.getMessage());
      return fresh(request, start, atStart);
    }
  }

  /**
   * Encodes prompts and images, and draws each request's noise in the reference's order: of the
   * text, of the latent, of CLIP's view.
   */
  private List<JointTrajectory.Start> starts(
      List<GenerationRequest> requests, List<TrajectoryNoise> noises) {
    List<JointMode> modes =
        requests.stream().map(request -> JointMode.of(request.arguments())).toList();
    Iterator<PromptEncoding> prompts = prompts(requests, modes).iterator();
    List<float[]> whole = new ArrayList<>();
    List<Boolean> truncated = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      if (modes.get(i) == JointMode.TEXT_TO_IMAGE) {
        PromptEncoding prompt = prompts.next();
        whole.add(prompt.states());
        truncated.add(prompt.truncated());
      } else {
        float[] noise = noises.get(i).gaussian(networks.wholeText());
        whole.add(scaled(noise, plan(requests.get(i)).initNoiseSigma()));
        truncated.add(false);
      }
    }
    List<float[]> texts = networks.smaller(whole);
    List<Raster> images = new ArrayList<>();
    for (int i = 0; i < requests.size(); i++) {
      if (modes.get(i) == JointMode.IMAGE_TO_TEXT) {
        images.add(networks.resized(requests.get(i).get(Parameters.IMAGE)));
      }
    }
    List<Autoencoder.Moments> latents = images.isEmpty() ? List.of() : networks.latents(images);
    List<float[]> views = images.isEmpty() ? List.of() : networks.views(images);
    List<JointTrajectory.Start> starts = new ArrayList<>();
    int image = 0;
    for (int i = 0; i < requests.size(); i++) {
      SamplingPlan plan = plan(requests.get(i));
      TrajectoryNoise noise = noises.get(i);
      float[] latent;
      float[] view;
      if (modes.get(i) == JointMode.IMAGE_TO_TEXT) {
        latent = latents.get(image).sample(noise.shaped(networks.latent()));
        view = views.get(image++);
      } else {
        latent = scaled(noise.gaussian(networks.latent()), plan.initNoiseSigma());
        view = scaled(noise.gaussian(networks.image()), plan.initNoiseSigma());
      }
      float[] sample = sample(modes.get(i), latent, view, texts.get(i));
      starts.add(
          new JointTrajectory.Start(
              modes.get(i),
              SamplerState.restore(plan, 0, sample, new float[0][]),
              latent,
              view,
              texts.get(i),
              truncated.get(i)));
    }
    return starts;
  }

  private List<PromptEncoding> prompts(List<GenerationRequest> requests, List<JointMode> modes) {
    List<String> prompts =
        IntStream.range(0, requests.size())
            .filter(i -> modes.get(i) == JointMode.TEXT_TO_IMAGE)
            .mapToObj(i -> requests.get(i).get(Parameters.PROMPT))
            .toList();
    return prompts.isEmpty() ? List.of() : networks.encode(prompts);
  }

  private SamplingPlan plan(GenerationRequest request) {
    return networks.plans().plan(request);
  }

  private static float[] scaled(float[] noise, double sigma) {
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) (noise[i] * sigma);
    }
    return noise;
  }

  private static float[] sample(JointMode mode, float[] latent, float[] view, float[] text) {
    int images = mode.images() ? latent.length + view.length : 0;
    float[] sample = new float[images + (mode.texts() ? text.length : 0)];
    if (mode.images()) {
      System.arraycopy(latent, 0, sample, 0, latent.length);
      System.arraycopy(view, 0, sample, latent.length, view.length);
    }
    if (mode.texts()) {
      System.arraycopy(text, 0, sample, images, text.length);
    }
    return sample;
  }

  // ------------------------------------------------------------------ steps

  @Override
  public void step(List<Trajectory> batch) {
    List<JointTrajectory> own = own(batch);
    if (own.get(0).writes()) {
      write(own);
    } else {
      denoise(own);
    }
  }

  private void denoise(List<JointTrajectory> batch) {
    List<JointTrajectory.Shown> shown = batch.stream().map(JointTrajectory::shown).toList();
    float[] output = networks.noise(shown.stream().flatMap(each -> each.rows().stream()).toList());
    List<float[]> predictions = new ArrayList<>();
    List<Integer> notFinite = new ArrayList<>();
    int row = 0;
    for (int i = 0; i < batch.size(); i++) {
      float[] prediction = batch.get(i).prediction(output, row * networks.rowSize());
      if (prediction == null) {
        notFinite.add(i);
      }
      predictions.add(prediction);
      row += shown.get(i).rows().size();
    }
    requireFinite(batch, notFinite, "The network's output");
    List<JointTrajectory.Next> next = new ArrayList<>();
    for (int i = 0; i < batch.size(); i++) {
      next.add(batch.get(i).next(shown.get(i), predictions.get(i)));
    }
    for (int i = 0; i < batch.size(); i++) {
      batch.get(i).become(next.get(i));
    }
  }

  private void write(List<JointTrajectory> batch) {
    List<JointNetworks.Written> rows = new ArrayList<>();
    batch.forEach(text -> rows.addAll(text.written()));
    HostTensor.Floats scores = networks.scores(rows);
    int vocabulary = (int) scores.shape()[1];
    List<List<AverageBeams.Beam>> next = new ArrayList<>();
    List<Integer> notFinite = new ArrayList<>();
    int at = 0;
    for (int i = 0; i < batch.size(); i++) {
      int end = at + batch.get(i).rows() * vocabulary;
      if (finite(scores.data(), at, end)) {
        next.add(networks.beams().next(batch.get(i).beams(), scores.data(), at, vocabulary));
      } else {
        notFinite.add(i);
      }
      at = end;
    }
    requireFinite(batch, notFinite, "The text decoder's output");
    for (int i = 0; i < batch.size(); i++) {
      batch.get(i).become(next.get(i));
    }
  }

  private static boolean finite(float[] values, int from, int to) {
    for (int i = from; i < to; i++) {
      if (!Float.isFinite(values[i])) {
        return false;
      }
    }
    return true;
  }

  private void requireFinite(List<JointTrajectory> batch, List<Integer> notFinite, String what) {
    if (notFinite.isEmpty()) {
      return;
    }
    // It may be the weights and not the request.
    check.digest();
    Trajectory first = batch.get(notFinite.get(0));
    throw new NotFiniteException(
        ("%s at step %d of %d of request '%s' is not finite. A model can overflow in half"
                + " precision; use float32.")
            .formatted(what, first.step(), first.totalSteps(), first.request().id()),
        notFinite);
  }

  // ------------------------------------------------------------------ results

  @Override
  public List<GeneratedImage> finish(List<Trajectory> batch) {
    List<JointTrajectory> done = own(batch);
    // No result of weights that have not been checked, or have been changed where they are mapped.
    check.digest();
    check.requireNotWritten();
    if (!done.get(0).mode().images()) {
      return done.stream()
          .map(each -> GeneratedImage.ofText(each.request(), networks.written(each.beams())))
          .toList();
    }
    List<Finishing.Finished> finished = finishing.finish(pictures(done));
    List<GeneratedImage> images = new ArrayList<>();
    for (int i = 0; i < done.size(); i++) {
      JointTrajectory each = done.get(i);
      GeneratedImage image =
          new GeneratedImage(
              each.request(),
              finished.get(i).picture(),
              each.truncated(),
              finished.get(i).flagged());
      images.add(each.mode().texts() ? image.with(networks.written(each.beams())) : image);
    }
    return images;
  }

  private List<Raster> pictures(List<JointTrajectory> done) {
    HostTensor.Floats decoded =
        networks.decode(
            done.stream()
                .map(
                    each -> new Sample(each.request(), List.of(), networks.latent(), each.latent()))
                .toList());
    int channels = (int) decoded.shape()[1];
    int height = (int) decoded.shape()[2];
    int width = (int) decoded.shape()[3];
    int size = channels * height * width;
    List<Raster> pictures = new ArrayList<>();
    List<Integer> notFinite = new ArrayList<>();
    for (int i = 0; i < done.size(); i++) {
      if (!finite(decoded.data(), i * size, (i + 1) * size)) {
        notFinite.add(i);
      }
      pictures.add(
          new Raster(
              channels,
              height,
              width,
              Arrays.copyOfRange(decoded.data(), i * size, (i + 1) * size)));
    }
    requireFinite(done, notFinite, "The decoded image");
    return pictures;
  }

  private static List<JointTrajectory> own(List<Trajectory> batch) {
    return batch.stream().map(JointTrajectory.class::cast).toList();
  }

  @Override
  public void close() {
    check.close();
    networks.close();
    finishing.close();
  }

  // ------------------------------------------------------------------ what it says

  private final class JointModel implements Model {
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
      return JointMode.of(request).images() ? ResultMeaning.PICTURE : ResultMeaning.TEXT;
    }

    @Override
    public String taskName(Arguments request) {
      return JointMode.of(request).task();
    }

    @Override
    public GenerationRequest prepare(GenerationSpec spec) {
      GenerationRequest request = signature.resolve(spec);
      JointMode mode = JointMode.of(request.arguments());
      String prompt = request.get(Parameters.PROMPT);
      boolean wantsPrompt = mode == JointMode.TEXT_TO_IMAGE;
      if (wantsPrompt ? prompt == null : prompt != null && !prompt.isEmpty()) {
        throw mismatch(mode, wantsPrompt, Parameters.PROMPT);
      }
      Raster image = request.get(Parameters.IMAGE);
      boolean wantsImage = mode == JointMode.IMAGE_TO_TEXT;
      if (wantsImage != (image != null)) {
        throw mismatch(mode, wantsImage, Parameters.IMAGE);
      }
      if (image != null) {
        networks.check(image);
      }
      Sides.checkFixed(
          request, networks.side(), networks.side(), "the model generates images of one size");
      if (plan(request).outputFactor() != 1) {
        throw new InvalidRequestException(
            "The scheduler's config asks for a learned variance, which this pipeline does not"
                + " use.");
      }
      return request;
    }

    private InvalidRequestException mismatch(JointMode mode, boolean wanted, Parameter<?> what) {
      return new InvalidRequestException(
          wanted
              ? "The request has mode %s and no %s. Give it one, or choose another mode: %s."
                  .formatted(mode.word(), what, JointMode.ACCEPTED)
              : "The request has mode %s and a parameter %s, which is not used. Leave it out, or choose another mode: %s."
                  .formatted(mode.word(), what, JointMode.ACCEPTED));
    }

    @Override
    public int calls(GenerationRequest request) {
      int tokens = JointMode.of(request.arguments()).texts() ? networks.beams().most() : 0;
      return plan(request).calls() + tokens;
    }

    @Override
    public long trajectoryBytes(GenerationRequest request) {
      JointMode mode = JointMode.of(request.arguments());
      SamplingPlan plan = plan(request);
      int remembered =
          IntStream.rangeClosed(0, plan.calls()).map(plan::historyLength).max().orElse(0);
      int images = mode.images() ? networks.latent().size() + networks.image().size() : 0;
      int texts = mode.texts() ? networks.text().size() : 0;
      int written = mode.texts() ? networks.beams().savedSize() : 0;
      return Float.BYTES * ((1L + remembered) * (images + texts) + written);
    }

    @Override
    public long encodedPixels(GenerationRequest request) {
      long side = networks.side();
      return JointMode.of(request.arguments()) == JointMode.IMAGE_TO_TEXT ? side * side : 0;
    }

    @Override
    public Optional<Tiling> tiling() {
      return Optional.empty();
    }
  }
}
