package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.engine.DeviceSpec;
import io.github.flinkdiffusion.ops.engine.HostTensor;
import io.github.flinkdiffusion.ops.engine.LoadedNetwork;
import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.network.AutoencoderKL;
import io.github.flinkdiffusion.ops.network.AutoencoderKLConfig;
import io.github.flinkdiffusion.ops.network.ClipText;
import io.github.flinkdiffusion.ops.network.ClipTextConfig;
import io.github.flinkdiffusion.ops.network.UNet2DCondition;
import io.github.flinkdiffusion.ops.network.UNet2DConditionConfig;
import io.github.flinkdiffusion.ops.noise.TorchGenerator;
import io.github.flinkdiffusion.ops.scheduler.SamplerState;
import io.github.flinkdiffusion.ops.scheduler.SamplingPlan;
import io.github.flinkdiffusion.ops.scheduler.SchedulerConfig;
import io.github.flinkdiffusion.ops.scheduler.SchedulerException;
import io.github.flinkdiffusion.ops.scheduler.Schedulers;
import io.github.flinkdiffusion.ops.tokenizer.ClipTokenizer;
import io.github.flinkdiffusion.ops.tokenizer.Tokens;
import io.github.flinkdiffusion.ops.torchscript.Graph;
import io.github.flinkdiffusion.ops.torchscript.StorageType;
import io.github.flinkdiffusion.ops.weights.Config;
import io.github.flinkdiffusion.ops.weights.ModelComponent;
import io.github.flinkdiffusion.ops.weights.ModelFolder;
import io.github.flinkdiffusion.ops.weights.TensorStore;
import io.github.flinkdiffusion.ops.weights.TensorViews;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Text to image as diffusers' StableDiffusionPipeline makes it, for model folders of Stable
 * Diffusion 1.x and 2.x.
 *
 * <p>The denoising network is called with one row for each trajectory without guidance and two,
 * unconditional first, for each with classifier-free guidance. Noise is drawn from each request's
 * own generator in the reference's order: the initial latents, then whatever the scheduler asks
 * for, step by step.
 */
public final class StableDiffusionPipeline implements DiffusionPipeline {
  private static final Logger LOG = LoggerFactory.getLogger(StableDiffusionPipeline.class);

  private static final String CLASS = "StableDiffusionPipeline";

  /** Pixels of a side beyond which a request is a mistake rather than a wish. */
  private static final int MAX_SIDE = 8192;

  /** Prompt encodings that are kept; one is 77 x 768 floats (236 KB) for Stable Diffusion 1.x. */
  private static final int CACHED_PROMPTS = 256;

  /** diffusers' default arguments. */
  private static final int DEFAULT_STEPS = 50;

  private static final double DEFAULT_GUIDANCE = 7.5;

  private final ModelInfo model;
  private final ClipTokenizer tokenizer;
  private final LoadedNetwork textEncoder;
  private final LoadedNetwork unet;
  private final LoadedNetwork decoder;
  private final AutoencoderKLConfig vae;
  private final int textSize;
  private final int defaultSide;
  private final SchedulerConfig scheduler;
  private final Map<PlanKey, SamplingPlan> plans = new ConcurrentHashMap<>();

  /** Device thread only. */
  private final Map<String, PromptEncoding> encodings =
      new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, PromptEncoding> eldest) {
          return size() > CACHED_PROMPTS;
        }
      };

  /** Keys of a UNet's config that ask for an input beside the prompt. */
  private static final List<String> CONDITIONS_BESIDE_TEXT =
      List.of("class_embed_type", "num_class_embeds", "time_cond_proj_dim", "addition_embed_type");

  private StableDiffusionPipeline(ModelFolder folder, DeviceSpec device, StorageType storage) {
    this.model = new ModelInfo(folder.name(), folder.digest());
    this.tokenizer = ClipTokenizer.load(folder.path().resolve("tokenizer"));
    this.scheduler =
        SchedulerConfig.fromJson(
            folder.component("scheduler").config().node(),
            folder.component("scheduler").config().source());
    Config unetConfig = folder.component("unet").config();
    UNet2DConditionConfig denoiser = UNet2DConditionConfig.from(unetConfig);
    ClipTextConfig text = ClipTextConfig.from(folder.component("text_encoder").config());
    this.vae = AutoencoderKLConfig.from(folder.component("vae").config());
    checkFit(folder, unetConfig, denoiser, text);
    this.textSize = text.hiddenSize();
    this.defaultSide = unetConfig.integer("sample_size", 64) * vae.scaleFactor();

    // The reference runs such an autoencoder in float32 even when everything else is in half
    // precision.
    StorageType decoderStorage = vae.forceUpcast() ? StorageType.FLOAT32 : storage;
    List<LoadedNetwork> opened = new ArrayList<>();
    try {
      this.textEncoder =
          load(
              folder,
              "text_encoder",
              new ClipText(text).graph(tokenizer.maxLength()),
              device,
              storage,
              opened);
      this.unet =
          load(folder, "unet", new UNet2DCondition(denoiser).graph(), device, storage, opened);
      this.decoder =
          load(
              folder, "vae", new AutoencoderKL(vae).decoderGraph(), device, decoderStorage, opened);
    } catch (RuntimeException e) {
      opened.forEach(LoadedNetwork::close);
      throw e;
    }
  }

  private static LoadedNetwork load(
      ModelFolder folder,
      String name,
      Graph graph,
      DeviceSpec device,
      StorageType storage,
      List<LoadedNetwork> opened) {
    ModelComponent component = folder.component(name);
    try (TensorStore weights =
        TensorViews.withTextModelPrefix(TensorViews.withCurrentAttentionNames(component.open()))) {
      LoadedNetwork network = new NetworkLoader(device, storage).load(name, graph, weights);
      opened.add(network);
      return network;
    }
  }

  /**
   * Loads a model folder onto a device.
   *
   * @param folder in diffusers' layout
   * @param device where it runs
   * @param storage precision of the networks
   */
  public static StableDiffusionPipeline open(Path folder, DeviceSpec device, StorageType storage) {
    ModelFolder model = ModelFolder.open(folder);
    if (!model.pipelineClass().equals(CLASS)) {
      throw model.config().unsupported("_class_name", model.pipelineClass(), CLASS);
    }
    return new StableDiffusionPipeline(model, device, storage);
  }

  private void checkFit(
      ModelFolder folder, Config unetConfig, UNet2DConditionConfig denoiser, ClipTextConfig text) {
    for (String key : CONDITIONS_BESIDE_TEXT) {
      if (unetConfig.has(key)) {
        throw unetConfig.unsupported(
            key, unetConfig.node().get(key), "null in a pipeline that knows the prompt alone");
      }
    }
    if (denoiser.crossAttentionDim() != text.hiddenSize()) {
      throw unetConfig.unsupported(
          "cross_attention_dim",
          denoiser.crossAttentionDim(),
          "the text encoder's hidden_size, " + text.hiddenSize());
    }
    if (denoiser.inChannels() != vae.latentChannels()
        || denoiser.outChannels() != vae.latentChannels()) {
      throw unetConfig.unsupported(
          "in_channels",
          denoiser.inChannels(),
          "the autoencoder's latent_channels, " + vae.latentChannels() + ", for text to image");
    }
    if (tokenizer.maxLength() > text.maxPositions()) {
      throw folder
          .component("text_encoder")
          .config()
          .unsupported(
              "max_position_embeddings",
              text.maxPositions(),
              "at least the tokenizer's model_max_length, " + tokenizer.maxLength());
    }
  }

  @Override
  public ModelInfo model() {
    return model;
  }

  @Override
  public GenerationRequest prepare(GenerationSpec spec) {
    if (spec.prompt().isBlank()) {
      throw new InvalidRequestException(
          "The prompt is blank; say in words what the picture shows.");
    }
    double guidance = spec.guidanceScale() == null ? DEFAULT_GUIDANCE : spec.guidanceScale();
    if (!Double.isFinite(guidance)) {
      throw new InvalidRequestException(
          "guidanceScale is "
              + guidance
              + "; it must be a finite number, 1 or less to turn guidance off.");
    }
    GenerationRequest request =
        new GenerationRequest(
            spec.id(),
            spec.prompt(),
            spec.negativePrompt() == null ? "" : spec.negativePrompt(),
            spec.seed() == null ? Seeds.fromId(spec.id()) : spec.seed(),
            spec.scheduler() == null ? scheduler.className() : spec.scheduler(),
            spec.steps() == null ? DEFAULT_STEPS : spec.steps(),
            guidance,
            side("width", spec.width()),
            side("height", spec.height()));
    plan(request);
    return request;
  }

  private int side(String name, Integer pixels) {
    int factor = vae.scaleFactor();
    int side = pixels == null ? defaultSide : pixels;
    if (side < factor || side > MAX_SIDE || side % factor != 0) {
      throw new InvalidRequestException(
          name
              + " is "
              + side
              + "; it must be a multiple of "
              + factor
              + " from "
              + factor
              + " to "
              + MAX_SIDE
              + ".");
    }
    return side;
  }

  private SamplingPlan plan(GenerationRequest request) {
    PlanKey key = new PlanKey(request.scheduler(), request.steps());
    SamplingPlan known = plans.get(key);
    if (known != null) {
      return known;
    }
    if (!Schedulers.supported().contains(request.scheduler())) {
      throw new InvalidRequestException(
          "Scheduler '"
              + request.scheduler()
              + "' is not known; supported are "
              + String.join(", ", Schedulers.supported())
              + ".");
    }
    try {
      SchedulerConfig config =
          request.scheduler().equals(scheduler.className())
              ? scheduler
              : scheduler.withClass(request.scheduler());
      SamplingPlan plan = Schedulers.plan(config, request.steps());
      plans.put(key, plan);
      return plan;
    } catch (SchedulerException e) {
      throw new InvalidRequestException(e.getMessage());
    }
  }

  @Override
  public List<Trajectory> start(List<GenerationRequest> requests) {
    Map<String, PromptEncoding> encoded = encode(texts(requests));
    List<Trajectory> trajectories = new ArrayList<>(requests.size());
    for (GenerationRequest request : requests) {
      trajectories.add(fresh(request, encoded));
    }
    return trajectories;
  }

  private static Set<String> texts(List<GenerationRequest> requests) {
    Set<String> texts = new LinkedHashSet<>();
    for (GenerationRequest request : requests) {
      texts.add(request.prompt());
      if (guided(request)) {
        texts.add(request.negativePrompt());
      }
    }
    return texts;
  }

  @Override
  public List<Trajectory> restore(List<TrajectorySnapshot> snapshots) {
    Map<String, PromptEncoding> encoded =
        encode(texts(snapshots.stream().map(TrajectorySnapshot::request).toList()));
    List<Trajectory> trajectories = new ArrayList<>(snapshots.size());
    for (TrajectorySnapshot snapshot : snapshots) {
      trajectories.add(resume(snapshot, encoded));
    }
    return trajectories;
  }

  /**
   * A snapshot that no longer fits its plan (a newer version may solve the same schedule otherwise)
   * begins anew: failing would fail the job at every restart, and the seed gives the same picture.
   */
  private LatentTrajectory resume(
      TrajectorySnapshot snapshot, Map<String, PromptEncoding> encoded) {
    GenerationRequest request = snapshot.request();
    try {
      SamplerState state =
          SamplerState.restore(
              plan(request), snapshot.step(), snapshot.sample(), snapshot.history());
      return trajectory(request, state, TorchGenerator.restore(snapshot.generator()), encoded);
    } catch (SchedulerException e) {
      LOG.warn(
          "Request '{}' was saved at step {} in a form that does not fit; it begins anew: {}",
          request.id(),
          snapshot.step(),
          e.getMessage());
      return fresh(request, encoded);
    }
  }

  /** The initial latents are the first thing drawn from the request's generator. */
  private LatentTrajectory fresh(GenerationRequest request, Map<String, PromptEncoding> encoded) {
    TorchGenerator generator = new TorchGenerator(request.seed());
    float[] noise = generator.gaussian(latentSize(request));
    return trajectory(request, SamplerState.start(plan(request), noise), generator, encoded);
  }

  private LatentTrajectory trajectory(
      GenerationRequest request,
      SamplerState state,
      TorchGenerator generator,
      Map<String, PromptEncoding> encoded) {
    return new LatentTrajectory(
        request,
        model.digest(),
        state,
        generator,
        encoded.get(request.prompt()),
        guided(request) ? encoded.get(request.negativePrompt()) : null,
        new LatentShape(
            vae.latentChannels(),
            request.height() / vae.scaleFactor(),
            request.width() / vae.scaleFactor()));
  }

  private int latentSize(GenerationRequest request) {
    return vae.latentChannels()
        * (request.height() / vae.scaleFactor())
        * (request.width() / vae.scaleFactor());
  }

  private static boolean guided(GenerationRequest request) {
    return request.guidanceScale() > 1;
  }

  /** Encodings of all texts; those not cached are encoded in one network call. */
  private Map<String, PromptEncoding> encode(Set<String> texts) {
    Map<String, PromptEncoding> result = new LinkedHashMap<>();
    List<String> missing = new ArrayList<>();
    for (String text : texts) {
      PromptEncoding known = encodings.get(text);
      if (known == null) {
        missing.add(text);
      } else {
        result.put(text, known);
      }
    }
    if (!missing.isEmpty()) {
      int length = tokenizer.maxLength();
      long[] ids = new long[missing.size() * length];
      boolean[] truncated = new boolean[missing.size()];
      for (int i = 0; i < missing.size(); i++) {
        Tokens tokens = tokenizer.encode(missing.get(i));
        truncated[i] = tokens.truncated();
        for (int j = 0; j < length; j++) {
          ids[i * length + j] = tokens.ids()[j];
        }
      }
      float[] states =
          textEncoder.call("forward", new HostTensor.Longs(ids, missing.size(), length)).data();
      int size = length * textSize;
      for (int i = 0; i < missing.size(); i++) {
        float[] own = new float[size];
        System.arraycopy(states, i * size, own, 0, size);
        PromptEncoding encoding = new PromptEncoding(own, truncated[i]);
        encodings.put(missing.get(i), encoding);
        result.put(missing.get(i), encoding);
      }
    }
    return result;
  }

  @Override
  public void step(List<Trajectory> batch) {
    int rows = batch.stream().mapToInt(Trajectory::rows).sum();
    LatentShape shape = ((LatentTrajectory) batch.get(0)).shape();
    int size = shape.size();
    int contextSize = tokenizer.maxLength() * textSize;
    float[] samples = new float[rows * size];
    float[] timesteps = new float[rows];
    float[] context = new float[rows * contextSize];
    int row = 0;
    for (Trajectory each : batch) {
      LatentTrajectory trajectory = (LatentTrajectory) each;
      int first = row * size;
      trajectory.state().modelInput(samples, first);
      float timestep = (float) trajectory.timestep();
      for (PromptEncoding encoding : trajectory.conditions()) {
        if (row * size != first) {
          System.arraycopy(samples, first, samples, row * size, size);
        }
        timesteps[row] = timestep;
        System.arraycopy(encoding.states(), 0, context, row * contextSize, contextSize);
        row++;
      }
    }
    float[] output =
        unet.call(
                "forward",
                new HostTensor.Floats(
                    samples, rows, shape.channels(), shape.height(), shape.width()),
                new HostTensor.Floats(timesteps, rows),
                new HostTensor.Floats(context, rows, tokenizer.maxLength(), textSize))
            .data();
    List<float[]> predictions = new ArrayList<>(batch.size());
    List<Integer> notFinite = new ArrayList<>();
    row = 0;
    for (int i = 0; i < batch.size(); i++) {
      float[] prediction = ((LatentTrajectory) batch.get(i)).prediction(output, row * size);
      if (prediction == null) {
        notFinite.add(i);
      }
      predictions.add(prediction);
      row += batch.get(i).rows();
    }
    if (!notFinite.isEmpty()) {
      Trajectory first = batch.get(notFinite.get(0));
      throw new NotFiniteException(
          "The UNet's output at step %d of %d of request '%s' is not finite; in half precision a model may overflow, use float32."
              .formatted(first.step(), first.totalSteps(), first.request().id()),
          notFinite);
    }
    for (int i = 0; i < batch.size(); i++) {
      ((LatentTrajectory) batch.get(i)).advance(predictions.get(i));
    }
  }

  @Override
  public List<GeneratedImage> finish(List<Trajectory> done) {
    List<GeneratedImage> images = new ArrayList<>(done.size());
    LatentShape shape = ((LatentTrajectory) done.get(0)).shape();
    int size = shape.size();
    float[] latents = new float[done.size() * size];
    for (int i = 0; i < done.size(); i++) {
      float[] sample = ((LatentTrajectory) done.get(i)).state().sample();
      for (int j = 0; j < size; j++) {
        latents[i * size + j] = (float) (sample[j] / vae.scalingFactor() + vae.shiftFactor());
      }
    }
    HostTensor.Floats decoded =
        decoder.call(
            AutoencoderKL.DECODE,
            new HostTensor.Floats(
                latents, done.size(), shape.channels(), shape.height(), shape.width()));
    int height = (int) decoded.shape()[2];
    int width = (int) decoded.shape()[3];
    int pixels = vae.outChannels() * height * width;
    List<Integer> notFinite = new ArrayList<>();
    for (int i = 0; i < done.size(); i++) {
      float[] picture = new float[pixels];
      boolean finite = true;
      for (int j = 0; j < pixels; j++) {
        float value = decoded.data()[i * pixels + j];
        finite &= Float.isFinite(value);
        picture[j] = Math.min(1, Math.max(0, value / 2 + 0.5f));
      }
      if (!finite) {
        notFinite.add(i);
      }
      LatentTrajectory trajectory = (LatentTrajectory) done.get(i);
      images.add(
          new GeneratedImage(
              trajectory.request(),
              new Raster(vae.outChannels(), height, width, picture),
              trajectory.truncated()));
    }
    if (!notFinite.isEmpty()) {
      throw new NotFiniteException(
          "The decoded picture of request '%s' is not finite; in half precision an autoencoder may overflow, use float32."
              .formatted(done.get(notFinite.get(0)).request().id()),
          notFinite);
    }
    return images;
  }

  @Override
  public void close() {
    textEncoder.close();
    unet.close();
    decoder.close();
  }

  private record PlanKey(String scheduler, int steps) {}
}
