/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.serving;

import io.github.flinkdiffusion.ops.batching.BatchPolicy;
import io.github.flinkdiffusion.ops.graph.Precision;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.annotation.Internal;
import org.apache.flink.annotation.PublicEvolving;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;
import org.jspecify.annotations.NullMarked;

/**
 * Settings of a diffusion operator. Each can be set in Flink's configuration ({@code
 * -Ddiffusion.device=gpu:0}) and by a method of {@code TextToImage} or {@code ImageTasks}, which
 * wins.
 *
 * <p>This is a table, one constant an option, and it is kept in one file on purpose, though it is a
 * long one: users find every key of the operator in one class, and {@code docs/OPTIONS.md} lists
 * them in this order. What is done with options is elsewhere: {@link DiffusionSettings}, {@link
 * ModelSettings} and {@link RequestLimits} read them, and {@link KnownOptions} refuses others.
 */
@NullMarked
@PublicEvolving
public final class DiffusionOptions {

  /** The model: a folder, a single-file checkpoint, or a name on Hugging Face's hub. Required. */
  public static final ConfigOption<String> MODEL_FOLDER =
      ConfigOptions.key("diffusion.model.folder")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Model to run: a folder in diffusers' layout (model_index.json, safetensors weights),"
                  + " a single-file checkpoint (.safetensors of Stable Diffusion 1.x, 2.x or SDXL),"
                  + " a name on Hugging Face's hub (hf://owner/name, hf://owner/name@revision, or"
                  + " the same with /file.safetensors), or an address in one of Flink's file"
                  + " systems (s3://bucket/models/name). A path must be the same on every task"
                  + " manager. Each machine downloads a name or an address once. Required, unless"
                  + " the job sets a pipeline of its own.");

  /** The engine that runs the networks: {@code auto}, {@code onnxruntime} or {@code pytorch}. */
  public static final ConfigOption<String> ENGINE =
      ConfigOptions.key("diffusion.engine")
          .stringType()
          .defaultValue("auto")
          .withDescription(
              "Engine that runs the networks: onnxruntime, pytorch, or auto. auto takes the engine"
                  + " whose library is on the class path. If both are, it takes onnxruntime for"
                  + " networks with attention that compute in FLOAT32 on the CPU, where it is"
                  + " mostly faster, and pytorch for everything else. Images of two engines differ"
                  + " in rounding, so a request that was started on one engine starts again on the"
                  + " other.");

  /** Precision of the networks. Default: FLOAT16 on a GPU, FLOAT32 on the CPU. */
  public static final ConfigOption<Precision> MODEL_PRECISION =
      ConfigOptions.key("diffusion.model.precision")
          .enumType(Precision.class)
          .noDefaultValue()
          .withDescription(
              "Precision in which the networks compute: FLOAT32, FLOAT16 or BFLOAT16. Default:"
                  + " FLOAT16 on a GPU, FLOAT32 on the CPU.");

  /** Precisions of single components. */
  public static final ConfigOption<List<String>> MODEL_PRECISIONS =
      ConfigOptions.key("diffusion.model.precisions")
          .stringType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "Precisions of single networks of diffusion.model.folder: a list of"
                  + " component=precision, such as text_encoder_3=BFLOAT16;vae=FLOAT32. Default:"
                  + " diffusion.model.precision; FLOAT32 for a network on the CPU beside a model on"
                  + " a GPU, and for an autoencoder whose config says force_upcast.");

  /** Devices of single components. */
  public static final ConfigOption<List<String>> MODEL_DEVICES =
      ConfigOptions.key("diffusion.model.devices")
          .stringType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "Devices of single networks of diffusion.model.folder: a list of component=device,"
                  + " such as text_encoder_3=cpu. A device is cpu or gpu:N. Default: that of"
                  + " diffusion.device.");

  /** Whether text encoders leave the memory after each use. */
  public static final ConfigOption<Boolean> MODEL_UNLOAD_TEXT_ENCODERS =
      ConfigOptions.key("diffusion.model.unload-text-encoders")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Load text encoders for each encoding and unload them after it. Saves their memory,"
                  + " costs reading them for each new prompt. Set diffusion.model.archives if the"
                  + " files are not in the computed precision: otherwise they are converted each"
                  + " time.");

  /** The diffusers class that the model is run as. Default: that of its model_index.json. */
  public static final ConfigOption<String> MODEL_PIPELINE =
      ConfigOptions.key("diffusion.model.pipeline")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Pipeline class of diffusers that runs the model, such as"
                  + " StableDiffusionInstructPix2PixPipeline. Default: the class that the folder's"
                  + " model_index.json names.");

  /** Folder that keeps converted weights for the next start. Default: temporary files. */
  public static final ConfigOption<String> MODEL_ARCHIVES =
      ConfigOptions.key("diffusion.model.archives")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Folder on the task managers for converted weights (float16 computed as float32, a"
                  + " merged LoRA). A restart finds them there, and processes share them. Files are"
                  + " named by their content and take as much disk space as the weights take"
                  + " memory; delete those of models that are no longer used. Default: weights are"
                  + " converted into temporary files at each start.");

  /** Whether the model's safety checker, if it has one, blackens the images that it flags. */
  public static final ConfigOption<Boolean> MODEL_SAFETY_CHECKER =
      ConfigOptions.key("diffusion.model.safety-checker")
          .booleanType()
          .defaultValue(true)
          .withDescription(
              "Run the safety checker if the model folder has one. Images that it flags are"
                  + " emitted black.");

  /** Whether images get the invisible watermark of diffusers' Stable Diffusion XL. */
  public static final ConfigOption<Boolean> MODEL_WATERMARK =
      ConfigOptions.key("diffusion.model.watermark")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Put the invisible watermark into images that diffusers puts into those of Stable"
                  + " Diffusion XL. Images with a side below 256 pixels are too small for it.");

  /** LoRAs to merge into the model, each as {@code file=scale}. */
  public static final ConfigOption<List<String>> MODEL_LORAS =
      ConfigOptions.key("diffusion.model.loras")
          .stringType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "LoRAs to merge into the model when it is loaded: a list of file=scale, such as"
                  + " /loras/style.safetensors=0.8;/loras/face.safetensors=-0.3. Files are"
                  + " safetensors with the keys of kohya's programs, diffusers or PEFT, under the"
                  + " same path on every task manager, on Hugging Face's hub"
                  + " (hf://owner/name/style.safetensors=0.8), or in one of Flink's file systems.");

  /** Files of IP-Adapters. */
  public static final ConfigOption<List<String>> MODEL_IP_ADAPTERS =
      ConfigOptions.key("diffusion.model.ip-adapters")
          .stringType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "IP-Adapters of the model, up to 4: a list of files, such as"
                  + " /adapters/ip-adapter_sd15.safetensors. Requests show images to them by"
                  + " ipAdapterImage. Files are ip-adapter, ip-adapter-plus and"
                  + " ip-adapter-full-face in safetensors, under the same path on every task"
                  + " manager, on Hugging Face's hub (hf://owner/name/file.safetensors), or in one"
                  + " of Flink's file systems. For diffusion.model.folder with a model of Stable"
                  + " Diffusion 1, 2 or XL, without diffusion.loras.allowed and"
                  + " diffusion.cache.interval.");

  /** Folder of the network by which IP-Adapters see images. */
  public static final ConfigOption<String> MODEL_IMAGE_ENCODER =
      ConfigOptions.key("diffusion.model.image-encoder")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Folder of the CLIP vision network that IP-Adapters see images by, with config.json"
                  + " and model.safetensors: a path on every task manager, or on Hugging Face's"
                  + " hub, such as hf://h94/IP-Adapter/models/image_encoder. By default it is the"
                  + " model's own image_encoder, otherwise the folder image_encoder beside the"
                  + " first file of diffusion.model.ip-adapters.");

  /** LoRAs that requests may name, each as {@code name=file}. */
  public static final ConfigOption<List<String>> LORAS_ALLOWED =
      ConfigOptions.key("diffusion.loras.allowed")
          .stringType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "LoRAs that a request may name in its parameter loras: a list of name=file, such as"
                  + " style=/loras/style.safetensors;face=hf://owner/name/face.safetensors."
                  + " Requests with different LoRAs, and without, share network calls. Files are as"
                  + " in diffusion.model.loras: linear layers of UNet and text encoders, and the"
                  + " UNet's convolutions (LoCon), with or without magnitudes (DoRA). For"
                  + " diffusion.model.folder with a model of Stable Diffusion 1, 2 or XL, without"
                  + " ControlNets, IP-Adapters and diffusion.cache.interval. Give a changed file a"
                  + " new name.");

  /** LoRAs whose factors stay in memory. */
  public static final ConfigOption<Integer> LORAS_RESIDENT =
      ConfigOptions.key("diffusion.loras.resident")
          .intType()
          .defaultValue(8)
          .withDescription(
              "Number of LoRAs of diffusion.loras.allowed that stay on the Java heap, in float32,"
                  + " from 1 to 1024. The least recently used one makes room. A network call with"
                  + " more different ones reads the files of some at each step. Has no effect"
                  + " without diffusion.loras.allowed.");

  /** Folder with the configs and vocabularies for a single-file checkpoint. */
  public static final ConfigOption<String> MODEL_CONFIGS =
      ConfigOptions.key("diffusion.model.configs")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Configs and vocabularies for a single-file checkpoint: a folder in diffusers'"
                  + " layout, hf://owner/name, or an address in one of Flink's file systems."
                  + " Default: they are inferred as diffusers infers them. A Stable Diffusion 2 is"
                  + " then taken as the 768-pixel model with v-prediction; Stable Diffusion 1 and"
                  + " SDXL predict noise.");

  /** Variant of the weights, such as {@code fp16}; diffusers' {@code variant}. */
  public static final ConfigOption<String> MODEL_VARIANT =
      ConfigOptions.key("diffusion.model.variant")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Variant of the weights to load where a component has it, such as fp16; as"
                  + " diffusers' from_pretrained(variant=...). Default: the plain weights, or those"
                  + " of the only variant that exists. Not for a single-file checkpoint.");

  /** More models that requests may name: a list of {@code name=folder}. */
  public static final ConfigOption<List<String>> MODELS =
      ConfigOptions.key("diffusion.models")
          .stringType()
          .asList()
          .noDefaultValue()
          .withDescription(
              "More models that requests may name, besides diffusion.model.folder: a list of"
                  + " name=folder, such as emoji=/models/mini-emoji;photo=hf://owner/name. A"
                  + " request names one in its parameter 'model'; 'default', or no parameter, is"
                  + " the model of diffusion.model.folder. An unknown name fails the request with"
                  + " reason INVALID_REQUEST. A name has up to 64 letters, digits, and characters"
                  + " of '._-'. Each model is loaded when the first request needs it. All are"
                  + " loaded with the same engine, precision, archives, variant, safety checker,"
                  + " watermark, caching and UNet guidance; diffusion.model.loras, .ip-adapters,"
                  + " .image-encoder, .pipeline and .configs and"
                  + " diffusion.loras.allowed concern"
                  + " diffusion.model.folder alone.");

  /** Most memory that the weights of all loaded models of a device take together. */
  public static final ConfigOption<MemorySize> MODELS_MEMORY =
      ConfigOptions.key("diffusion.device.models-memory")
          .memoryType()
          .noDefaultValue()
          .withDescription(
              "Maximum memory that the weights of all loaded models take together on one device of"
                  + " a process. A model's share is the size of its weights in the precision that"
                  + " it runs in; ONNX Runtime keeps networks of up to 256 MB twice on the CPU."
                  + " When another model is needed, the least recently used one without requests"
                  + " under way is unloaded. A model that does not fit alone fails its requests, or"
                  + " the job if it is the default model. Without this option, each model that was"
                  + " used once stays loaded. Of several operators on a device, the smallest value"
                  + " counts.");

  /** How long a model in use stays loaded while another one waits for its memory. */
  public static final ConfigOption<Duration> MODELS_TURN =
      ConfigOptions.key("diffusion.device.models-turn")
          .durationType()
          .defaultValue(Duration.ofSeconds(10))
          .withDescription(
              "Time that a model with requests under way stays loaded while another model waits for"
                  + " its memory, from zero to a day. Then it accepts no more requests, and is"
                  + " unloaded when its last ones are done. Shorter turns bound the wait of the"
                  + " others; longer ones load models less often. Has no effect without"
                  + " diffusion.device.models-memory.");

  /** The device: {@code auto}, {@code cpu} or {@code gpu:N}. */
  public static final ConfigOption<String> DEVICE =
      ConfigOptions.key("diffusion.device")
          .stringType()
          .defaultValue("auto")
          .withDescription(
              "Device that runs the model: cpu, gpu:N, or auto. auto spreads subtasks over the GPUs"
                  + " that Flink's external resource 'gpu' assigns to the task manager. Without"
                  + " that resource, it takes the first GPU that the process sees, else the CPU.");

  /** Maximum wait for a device to free a model that other tasks have left. Above zero. */
  public static final ConfigOption<Duration> DEVICE_WAIT =
      ConfigOptions.key("diffusion.device.wait")
          .durationType()
          .defaultValue(Duration.ofMinutes(5))
          .withDescription(
              "Maximum time that a starting task waits for a model that the device is still"
                  + " unloading because it finishes the last call of earlier tasks. The task logs"
                  + " that it waits, and fails after this time. Above zero.");

  /** How long a model stays on its device after the last task that used it. */
  public static final ConfigOption<Duration> DEVICE_KEEP_MODEL =
      ConfigOptions.key("diffusion.device.keep-model")
          .durationType()
          .defaultValue(Duration.ofSeconds(10))
          .withDescription(
              "Time that a model stays loaded after the last task that used it has ended, so that"
                  + " a restarted job continues without loading it again. Set it longer than the"
                  + " delay of the restart strategy. The model is unloaded earlier if another model"
                  + " is loaded on the device. Zero unloads it at once.");

  /** Maximum native memory of one network call on the CPU. */
  public static final ConfigOption<MemorySize> DEVICE_MEMORY =
      ConfigOptions.key("diffusion.device.memory")
          .memoryType()
          .noDefaultValue()
          .withDescription(
              "Maximum native memory of one network call on the CPU. A call that would take more"
                  + " runs with fewer rows; a request that does not fit alone fails with reason"
                  + " OUT_OF_MEMORY. Calls also have to leave 64 MiB of what the process may still"
                  + " take (control group, RLIMIT_AS, available memory of the machine, less what"
                  + " the Java heap may grow by), because libtorch ends the process when it gets no"
                  + " memory. The need of a call is measured at two small sizes when the model is"
                  + " loaded, extended to other sizes and numbers of rows, and raised by 30 %."
                  + " Default: only what the process may still take counts. Has no effect on a"
                  + " GPU.");

  /** Steps from one that computes the whole network to the next, of requests that name none. */
  public static final ConfigOption<Integer> CACHE_INTERVAL =
      ConfigOptions.key("diffusion.cache.interval")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Let steps reuse features of earlier steps, with models of"
                  + " StableDiffusionPipeline, StableDiffusionXLPipeline and"
                  + " LatentConsistencyModelPipeline (DeepCache) and with text-to-image"
                  + " transformers (first-block cache): every so many steps, one computes the"
                  + " whole network, and those between compute a UNet's outer blocks or a"
                  + " transformer's first ones. From 1 to 50. A request"
                  + " overrides it by its parameter cacheInterval; 1 computes all steps whole"
                  + " unless a request asks for less. Images differ from those without it:"
                  + " docs/TUNE.md shows by how much. Default: requests cannot ask for it.");

  /** Skip connection or block outside of which, or up to which, all steps compute. */
  public static final ConfigOption<Integer> CACHE_BRANCH =
      ConfigOptions.key("diffusion.cache.branch")
          .intType()
          .defaultValue(0)
          .withDescription(
              "Where features are kept: the skip connection of a UNet, counted from the outermost,"
                  + " 0, inward (cache_branch_id), or the last of a transformer's blocks that every"
                  + " step computes, counted from 0. Higher numbers compute more in each step and"
                  + " stay closer to images without reuse. Has no effect without"
                  + " diffusion.cache.interval.");

  /** Change above which a step computes the whole network, of requests that name none. */
  public static final ConfigOption<Double> CACHE_THRESHOLD =
      ConfigOptions.key("diffusion.cache.threshold")
          .doubleType()
          .noDefaultValue()
          .withDescription(
              "Let each step of a text-to-image transformer decide whether it reuses features:"
                  + " while what the first blocks add differs from the last whole step's by at most"
                  + " this part of it (threshold of diffusers' FirstBlockCacheConfig), such as 0.1."
                  + " From 0 to 10; diffusion.cache.interval is then the most that steps can be"
                  + " apart that compute the whole network, such as 50. A request overrides it by"
                  + " its parameter cacheThreshold; 0 leaves steps to the interval unless a request"
                  + " asks for more. Features take twice the memory. Has no effect without"
                  + " diffusion.cache.interval. Default: requests cannot ask for it.");

  /** Maximum memory that features of all requests take together. */
  public static final ConfigOption<MemorySize> CACHE_MEMORY =
      ConfigOptions.key("diffusion.cache.memory")
          .memoryType()
          .defaultValue(MemorySize.ofMebiBytes(1024))
          .withDescription(
              "Maximum memory on the device that the features of all requests of a model take"
                  + " together. Those of a request without guidance take 5 MiB with Stable"
                  + " Diffusion 1.5 at 512 x 512 pixels, with guidance twice as much. A request"
                  + " whose features find no room computes them again when it needs them, so its"
                  + " image stays the same but saves no time.");

  /** Whether requests may change what a UNet does inside. */
  public static final ConfigOption<Boolean> UNET_GUIDANCE =
      ConfigOptions.key("diffusion.unet-guidance.enabled")
          .booleanType()
          .defaultValue(false)
          .withDescription(
              "Let requests have perturbed-attention guidance (pagScale) and FreeU (freeuB1 and so"
                  + " on). For Stable Diffusion 1, 2 and XL and latent consistency models without"
                  + " ControlNets, IP-Adapters and diffusion.cache.interval. The engine then holds"
                  + " the UNet in a second form: with ONNX Runtime, networks of up to 256 MB take"
                  + " twice the memory, and all of them load more slowly.");

  /** Requests that a subtask has in flight, 1 or more. Bounds memory and state. */
  public static final ConfigOption<Integer> CAPACITY =
      ConfigOptions.key("diffusion.capacity")
          .intType()
          .defaultValue(64)
          .withDescription(
              "Maximum number of requests that a subtask has in flight, from 1. A full subtask"
                  + " reads no input, which becomes back-pressure. Checkpoints do not wait for its"
                  + " requests, but in some job shapes a barrier queues after records that are not"
                  + " read yet (docs/OPERATE.md, Job shapes). This also limits the state: a"
                  + " checkpoint holds each request with its latent, and finished ones with their"
                  + " image.");

  /** Maximum rows of one network call, 1 or more. Default: measured when the model is loaded. */
  public static final ConfigOption<Integer> BATCH_ROWS =
      ConfigOptions.key("diffusion.batch.rows")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Maximum rows of one network call, from 1. A request with classifier-free guidance"
                  + " takes two rows. Default: measured when the model is loaded, which takes some"
                  + " seconds; of the powers of two up to 64, the smallest that computes nearly as"
                  + " many rows a second as any. If an image size does not fit into the device's"
                  + " memory, the operator finds a lower limit for that size. The limit belongs to"
                  + " the device: of several operators that share a model, the first one's value"
                  + " counts. With 1, requests share no calls: an image is then equal to the bit"
                  + " whatever else is in flight, and the throughput of batches is lost.");

  /** Head start of one level of priority, zero to one day. */
  public static final ConfigOption<Duration> BATCH_AGING =
      ConfigOptions.key("diffusion.batch.aging")
          .durationType()
          .defaultValue(BatchPolicy.DEFAULT_AGING)
          .withDescription(
              "Head start of one level of priority, and how far ahead deadlines count, from zero"
                  + " to one day. A request of priority p runs before requests that arrived up to p"
                  + " times this earlier. Of requests with one priority, the earliest deadline runs"
                  + " first. With zero, requests run in the order of their arrival.");

  /** The order in which results leave the operator. */
  public static final ConfigOption<OutputOrder> OUTPUT_ORDER =
      ConfigOptions.key("diffusion.output-order")
          .enumType(OutputOrder.class)
          .defaultValue(OutputOrder.UNORDERED)
          .withDescription(
              "Order of results. UNORDERED: results are emitted when they are finished, but never"
                  + " cross a watermark. ORDERED: results are emitted in the order of their"
                  + " requests, so a long request holds back those after it.");

  /** The attribute of a request that names its tenant. */
  public static final ConfigOption<String> TENANTS_ATTRIBUTE =
      ConfigOptions.key("diffusion.tenants.attribute")
          .stringType()
          .defaultValue("tenant")
          .withDescription(
              "Name of the attribute that says on whose behalf a request is sent. Tenants whose"
                  + " requests wait for one device get equal shares of it, or shares in proportion"
                  + " to diffusion.tenants.weights, counted in rows, steps and image size. Priority"
                  + " and deadline then order the requests of one tenant. Requests without the"
                  + " attribute belong to the tenant 'default'.");

  /** Shares of tenants, by name. */
  public static final ConfigOption<Map<String, String>> TENANTS_WEIGHTS =
      ConfigOptions.key("diffusion.tenants.weights")
          .mapType()
          .defaultValue(Map.of())
          .withDescription(
              "Weights of tenants, such as acme:3,free:0.5, each from 0.000001 to 1000000; 1 for"
                  + " every other tenant. While several tenants want more than the device can do,"
                  + " one with weight 3 gets three times the share of one with weight 1. What a"
                  + " tenant does not use goes to the others.");

  /** Requests of one tenant that a subtask has in flight. Default: no limit but the capacity. */
  public static final ConfigOption<Integer> TENANTS_MAX_IN_FLIGHT =
      ConfigOptions.key("diffusion.tenants.max-in-flight")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Maximum requests of one tenant that a subtask has in flight, from 1. A request"
                  + " beyond it fails at once with reason QUOTA_EXCEEDED, so that it does not hold"
                  + " up requests of others that come after it in the same partition. Set it below"
                  + " diffusion.capacity. Default: no limit, and requests of all tenants wait in"
                  + " the order of their partition while the subtask is full.");

  /** Maximum time of a request from its admission. Default: none. */
  public static final ConfigOption<Duration> REQUEST_TIMEOUT =
      ConfigOptions.key("diffusion.request.timeout")
          .durationType()
          .noDefaultValue()
          .withDescription(
              "Maximum time from a request's admission to its result. A request that is not"
                  + " finished by then fails with reason TIMEOUT. The time starts again after a"
                  + " restart. Default: no limit. A deadline of the request applies in addition.");

  /**
   * Retries of a request whose numbers are not finite or that exceeds the device's memory, 0 to 10.
   */
  public static final ConfigOption<Integer> REQUEST_RETRIES =
      ConfigOptions.key("diffusion.request.retries")
          .intType()
          .defaultValue(1)
          .withDescription(
              "Maximum times that a request starts again from its seed, after those that wait, if"
                  + " its numbers are not finite or it does not fit into the device's memory even"
                  + " alone; 0 to 10. Counted anew after a restart of the job. Failures that would"
                  + " repeat (a request that the model refuses, a timeout, a cancellation) are"
                  + " never retried.");

  /** Maximum width x height of an image that is generated at once, in pixels. */
  public static final ConfigOption<Long> REQUEST_MAX_PIXELS =
      ConfigOptions.key("diffusion.request.max-pixels")
          .longType()
          .defaultValue(1024L * 1024)
          .withDescription(
              "Maximum width x height of an image that the model generates at once, in pixels. A"
                  + " larger request fails with reason INVALID_REQUEST. Large images of image tasks"
                  + " are generated in tiles, and each tile counts as one image. The default is the"
                  + " size of Stable Diffusion XL. Memory grows with the pixels, and the time of a"
                  + " model with attention over all pixels with their square: on a CPU, one network"
                  + " call of Stable Diffusion 1.5 at 2048 x 2048 takes minutes and tens of"
                  + " gigabytes, at 1024 x 1024 about a sixteenth of the time.");

  /** Maximum network steps of one image, or of one part of an image task. */
  public static final ConfigOption<Integer> REQUEST_MAX_STEPS =
      ConfigOptions.key("diffusion.request.max-steps")
          .intType()
          .defaultValue(1000)
          .withDescription(
              "Maximum network steps of one image, or of one part of an image task. A larger"
                  + " request fails with reason INVALID_REQUEST. Schedulers of second order take"
                  + " two network steps for each step of a request. The default is the number of"
                  + " steps that models are trained with; more steps do not improve an image.");

  /** Maximum characters of each text of a request. */
  public static final ConfigOption<Integer> REQUEST_MAX_PROMPT_LENGTH =
      ConfigOptions.key("diffusion.request.max-prompt-length")
          .intType()
          .defaultValue(10_000)
          .withDescription(
              "Maximum characters of a prompt, of a negative prompt, and of each other text for the"
                  + " model. A longer text fails the request with reason INVALID_REQUEST. A text"
                  + " encoder reads about 300 characters (77 tokens); the rest of a long prompt"
                  + " only takes memory and state.");

  /** Maximum number of a request's attributes and parameters together. */
  public static final ConfigOption<Integer> REQUEST_MAX_ATTRIBUTES =
      ConfigOptions.key("diffusion.request.max-attributes")
          .intType()
          .defaultValue(128)
          .withDescription(
              "Maximum number of a request's attributes and parameters together. A request with"
                  + " more fails with reason INVALID_REQUEST.");

  /** Maximum UTF-8 bytes of a request's attributes and parameters together. */
  public static final ConfigOption<MemorySize> REQUEST_MAX_ATTRIBUTES_SIZE =
      ConfigOptions.key("diffusion.request.max-attributes-size")
          .memoryType()
          .defaultValue(MemorySize.parse("64kb"))
          .withDescription(
              "Maximum size of a request's attributes and parameters, names and values together, in"
                  + " UTF-8. A larger request fails with reason INVALID_REQUEST. State holds them"
                  + " for each request in flight, and results repeat them.");

  /**
   * Attempts at a request that causes errors which are not its own fault by their reason, 1 or
   * more.
   */
  public static final ConfigOption<Integer> REQUEST_ATTEMPTS =
      ConfigOptions.key("diffusion.request.attempts")
          .intType()
          .defaultValue(3)
          .withDescription(
              "Maximum attempts for a request that causes an unexpected error, from 1; then it"
                  + " fails with reason POISON. Counted are an OutOfMemoryError, a"
                  + " StackOverflowError or a bug while the request is read, composed or encoded,"
                  + " and a device call for this request alone that failed the task, across"
                  + " restarts. diffusion.request.retries counts errors that the device reports as"
                  + " the request's own.");

  /**
   * Ends of a process, with a request running alone in it, after which the request fails. 1 or
   * more.
   */
  public static final ConfigOption<Integer> REQUEST_PROCESS_DEATHS =
      ConfigOptions.key("diffusion.request.process-deaths")
          .intType()
          .defaultValue(2)
          .withDescription(
              "Maximum times that a task manager's process may end while a request is the only one"
                  + " that runs in it, from 1; then the request fails with reason POISON. After a"
                  + " process has ended, its requests run in groups, each half of the group that"
                  + " ended it, until the request is found. Raise the value where processes are"
                  + " often ended from outside.");

  /**
   * How long an image is read or stored again while a file system does not answer. Zero or more.
   */
  public static final ConfigOption<Duration> OUTAGE_RETRY_TIME =
      ConfigOptions.key("diffusion.outage.retry-time")
          .durationType()
          .defaultValue(Duration.ofMinutes(5))
          .withDescription(
              "How long the operator retries to read or store an image while a file system does not"
                  + " answer (the payload store cannot be reached, a disk is full or has errors),"
                  + " from zero. Attempts are up to 15 s apart. Other requests, checkpoints and"
                  + " cancellations continue meanwhile.");

  /** What happens after {@link #OUTAGE_RETRY_TIME}. */
  public static final ConfigOption<OutageAction> OUTAGE_ACTION =
      ConfigOptions.key("diffusion.outage.action")
          .enumType(OutageAction.class)
          .defaultValue(OutageAction.FAIL_TASK)
          .withDescription(
              "What happens after diffusion.outage.retry-time. FAIL_TASK: the task fails and"
                  + " Flink restarts it, so nothing is lost however long the outage takes."
                  + " FAIL_REQUEST: the request fails with reason PAYLOAD, and others continue. A"
                  + " file that no task can read fails the task at most diffusion.request.attempts"
                  + " times.");

  /** Steps of requests that name none. Default: the pipeline's own. */
  public static final ConfigOption<Integer> DEFAULT_STEPS =
      ConfigOptions.key("diffusion.default.steps")
          .intType()
          .noDefaultValue()
          .withDescription(
              "num_inference_steps of requests that set none. Default: the pipeline's own.");

  /** Guidance scale of requests that name none; 1 or less turns guidance off. */
  public static final ConfigOption<Double> DEFAULT_GUIDANCE_SCALE =
      ConfigOptions.key("diffusion.default.guidance-scale")
          .doubleType()
          .noDefaultValue()
          .withDescription(
              "Weight of classifier-free guidance of requests that set none. 1 or less turns"
                  + " guidance off, which halves the work. Default: the pipeline's own.");

  /** diffusers class of the scheduler of requests that name none. */
  public static final ConfigOption<String> DEFAULT_SCHEDULER =
      ConfigOptions.key("diffusion.default.scheduler")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Scheduler of requests that set none: a class name of diffusers, such as"
                  + " EulerDiscreteScheduler. Default: the model's own.");

  /** Width in pixels of requests that name none. */
  public static final ConfigOption<Integer> DEFAULT_WIDTH =
      ConfigOptions.key("diffusion.default.width")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Width in pixels of requests that set none. Default: the model's own size.");

  /** Height in pixels of requests that name none. */
  public static final ConfigOption<Integer> DEFAULT_HEIGHT =
      ConfigOptions.key("diffusion.default.height")
          .intType()
          .noDefaultValue()
          .withDescription(
              "Height in pixels of requests that set none. Default: the model's own size.");

  /** Emit a progress event every N network steps and after the last. 0 disables it. */
  public static final ConfigOption<Integer> PROGRESS_EVERY_STEPS =
      ConfigOptions.key("diffusion.progress.every-steps")
          .intType()
          .defaultValue(0)
          .withDescription(
              "Emit a progress event every N network steps of a request, and after the last. 0"
                  + " disables it. Under load, some events are left out.");

  /** Emit a progress event with a small image every N network steps. 0 disables it. */
  public static final ConfigOption<Integer> PREVIEW_EVERY_STEPS =
      ConfigOptions.key("diffusion.progress.preview-every-steps")
          .intType()
          .defaultValue(0)
          .withDescription(
              "Emit a progress event with a small preview image every N network steps of a request."
                  + " 0 disables it. The model's own decoder generates the preview from the sample,"
                  + " averaged down to at most 32 x 32 values a channel, between two steps and when"
                  + " nothing else waits for the device. Under load, some previews are left out.");

  /** Threads of a subtask that read, compose, encode and store images, 1 or more. */
  public static final ConfigOption<Integer> ENCODING_WORKERS =
      ConfigOptions.key("diffusion.encoding.workers")
          .intType()
          .defaultValue(2)
          .withFallbackKeys("diffusion.encoding.threads")
          .withDescription(
              "CPU threads of a subtask that fetch and decode images, compose results, and encode"
                  + " and store them, from 1. The task's thread and the device's thread do none of"
                  + " this. The former key diffusion.encoding.threads is still read.");

  /** Whether the file of an image holds its audit record, with the prompt. */
  public static final ConfigOption<Boolean> AUDIT_IN_IMAGES =
      ConfigOptions.key("diffusion.audit.in-images")
          .booleanType()
          .defaultValue(true)
          .withFallbackKeys("diffusion.audit.in-pictures")
          .withDescription(
              "Write a result's audit record into its image file, too, as the text diffusion-audit"
                  + " of PNG and TIFF files. Whoever gets the file can then read the prompt and"
                  + " generate the image again. The event holds the record in any case. The former"
                  + " key diffusion.audit.in-pictures is still read.");

  /** Attributes of requests that audit records hold, too. */
  public static final ConfigOption<List<String>> AUDIT_ATTRIBUTES =
      ConfigOptions.key("diffusion.audit.attributes")
          .stringType()
          .asList()
          .defaultValues()
          .withDescription(
              "Attributes of a request that its audit record holds, as attribute.NAME, such as"
                  + " 'consent': so they are in the image's file and its content credentials, too."
                  + " Up to 16 names; of a value of more than 512 characters, the record has the"
                  + " SHA-256.");

  /** A text that is visible on results; without it, there is none. */
  public static final ConfigOption<String> LABEL_TEXT =
      ConfigOptions.key("diffusion.label.text")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Text that is written into the lower left corner of each image, such as 'AI"
                  + " generated': up to 60 characters of ASCII. The audit record has it as"
                  + " diffusion.label.text. Masks, depths and other measurements, previews, and"
                  + " images that are too narrow for it have none, nor do results of image tasks"
                  + " that are no plain color image of up to 16 million values.");

  /** File with the key that signs content credentials; without it, results have none. */
  public static final ConfigOption<String> CREDENTIALS_KEY_FILE =
      ConfigOptions.key("diffusion.credentials.key-file")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "PKCS#12 file, on every task manager, with the key and certificates that sign content"
                  + " credentials (C2PA) in PNG, JPEG and TIFF results: Ed25519, or EC over P-256."
                  + " Without it, results have none. DICOM and NIfTI files cannot hold them. The"
                  + " credentials hold the audit record, so also the prompt.");

  /** Which of the file's keys. */
  public static final ConfigOption<String> CREDENTIALS_KEY_ALIAS =
      ConfigOptions.key("diffusion.credentials.key-alias")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Alias of the key in diffusion.credentials.key-file. May be left out if the file has"
                  + " only one key.");

  /** File with the key's password. */
  public static final ConfigOption<String> CREDENTIALS_PASSWORD_FILE =
      ConfigOptions.key("diffusion.credentials.password-file")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "File, on every task manager, with the password of diffusion.credentials.key-file."
                  + " Without it, the environment variable FLINK_DIFFUSION_CREDENTIALS_PASSWORD is"
                  + " read.");

  /** File with the key of the watermark. */
  public static final ConfigOption<String> WATERMARK_KEY_FILE =
      ConfigOptions.key("diffusion.watermark.key-file")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "File, on every task manager, with 16 to 4096 secret bytes. Generated images get an"
                  + " invisible watermark that only this key reads, and that survives compression,"
                  + " cropping and scaling. Its payload is in the audit record, as"
                  + " watermark.payload. Without it, images are not marked. Results are marked if"
                  + " they have three colors and sides of at least 256 pixels; those of image tasks"
                  + " also need 8 bits, no missing data, and at most 16 million values.");

  /** List of phrases that prompts must not hold. */
  public static final ConfigOption<String> SAFETY_BLOCKED_PHRASES_FILE =
      ConfigOptions.key("diffusion.safety.blocked-phrases-file")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "File in UTF-8, on every task manager, with a word or phrase a line. A request whose"
                  + " prompt holds one fails with reason INVALID_REQUEST. Case, accents, full-width"
                  + " and invisible characters and look-alike letters make no difference; '*' at"
                  + " the end of a word stands for any ending, and '#' begins a comment. Negative"
                  + " prompts are not checked. Without it, prompts are not checked for phrases.");

  /** List of concepts that prompts must not be close to. */
  public static final ConfigOption<String> SAFETY_CONCEPTS_FILE =
      ConfigOptions.key("diffusion.safety.concepts-file")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "File in UTF-8, on every task manager, with a concept a line: a limit above 0, up to"
                  + " 1, a space, and a text, such as '0.85 a fight with knives'. A request fails"
                  + " with reason INVALID_REQUEST if the cosine of its prompt's embedding and the"
                  + " text's is at the limit or above. '#' begins a comment. Needs"
                  + " diffusion.safety.clip-folder. Negative prompts are not compared. Without it,"
                  + " prompts are not compared with concepts.");

  /** The CLIP that compares prompts with concepts. */
  public static final ConfigOption<String> SAFETY_CLIP_FOLDER =
      ConfigOptions.key("diffusion.safety.clip-folder")
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Folder, on every task manager, with a CLIPModel as transformers writes it. It embeds"
                  + " prompts and the texts of diffusion.safety.concepts-file, on the CPU. What is"
                  + " longer than its 77 tokens is cut.");

  /** All of them, in the order in which they are documented. */
  @Internal
  public static final List<ConfigOption<?>> ALL =
      List.of(
          MODEL_FOLDER,
          ENGINE,
          MODEL_PRECISION,
          MODEL_PRECISIONS,
          MODEL_DEVICES,
          MODEL_UNLOAD_TEXT_ENCODERS,
          MODEL_PIPELINE,
          MODEL_ARCHIVES,
          MODEL_SAFETY_CHECKER,
          MODEL_WATERMARK,
          MODEL_LORAS,
          MODEL_IP_ADAPTERS,
          MODEL_IMAGE_ENCODER,
          LORAS_ALLOWED,
          LORAS_RESIDENT,
          MODEL_CONFIGS,
          MODEL_VARIANT,
          MODELS,
          MODELS_MEMORY,
          MODELS_TURN,
          DEVICE,
          DEVICE_WAIT,
          DEVICE_KEEP_MODEL,
          DEVICE_MEMORY,
          CACHE_INTERVAL,
          CACHE_BRANCH,
          CACHE_THRESHOLD,
          CACHE_MEMORY,
          UNET_GUIDANCE,
          CAPACITY,
          BATCH_ROWS,
          BATCH_AGING,
          OUTPUT_ORDER,
          TENANTS_ATTRIBUTE,
          TENANTS_WEIGHTS,
          TENANTS_MAX_IN_FLIGHT,
          REQUEST_TIMEOUT,
          REQUEST_RETRIES,
          REQUEST_MAX_PIXELS,
          REQUEST_MAX_STEPS,
          REQUEST_MAX_PROMPT_LENGTH,
          REQUEST_MAX_ATTRIBUTES,
          REQUEST_MAX_ATTRIBUTES_SIZE,
          REQUEST_ATTEMPTS,
          REQUEST_PROCESS_DEATHS,
          OUTAGE_RETRY_TIME,
          OUTAGE_ACTION,
          DEFAULT_STEPS,
          DEFAULT_GUIDANCE_SCALE,
          DEFAULT_SCHEDULER,
          DEFAULT_WIDTH,
          DEFAULT_HEIGHT,
          PROGRESS_EVERY_STEPS,
          PREVIEW_EVERY_STEPS,
          ENCODING_WORKERS,
          AUDIT_IN_IMAGES,
          AUDIT_ATTRIBUTES,
          LABEL_TEXT,
          CREDENTIALS_KEY_FILE,
          CREDENTIALS_KEY_ALIAS,
          CREDENTIALS_PASSWORD_FILE,
          WATERMARK_KEY_FILE,
          SAFETY_BLOCKED_PHRASES_FILE,
          SAFETY_CONCEPTS_FILE,
          SAFETY_CLIP_FOLDER);

  private DiffusionOptions() {}
}
