/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.pipeline;

import io.github.flinkdiffusion.ops.image.Raster;
import io.github.flinkdiffusion.ops.prompt.PromptLanguage;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.flink.annotation.Internal;

/**
 * Everything that a request may say. Which of it a model takes, and what it does without, is the
 * model's {@link Signature}.
 *
 * <p>It is long because it is a list, in the order of the reference page, with what the page says
 * of each.
 */
@Internal
public final class Parameters {
  private static final Map<String, Parameter<?>> ALL = new LinkedHashMap<>();

  public static final Parameter<String> PROMPT =
      text(
          "prompt",
          "Text that describes the image; an empty text leaves it to the model.",
          "a text");

  public static final Parameter<String> NEGATIVE_PROMPT =
      text(
          "negativePrompt",
          "Text that describes what the image should not show (negative_prompt); used with"
              + " guidance.",
          "a text");

  public static final Parameter<String> PROMPT_2 =
      text(
          "prompt2",
          "Text for the second text encoder in place of the prompt (prompt_2).",
          "a text");

  public static final Parameter<String> NEGATIVE_PROMPT_2 =
      text(
          "negativePrompt2",
          "Text for the second text encoder in place of the negative prompt (negative_prompt_2).",
          "a text");

  public static final Parameter<String> PROMPT_3 =
      text(
          "prompt3",
          "Text for the third text encoder in place of the prompt (prompt_3).",
          "a text");

  public static final Parameter<String> NEGATIVE_PROMPT_3 =
      text(
          "negativePrompt3",
          "Text for the third text encoder in place of the negative prompt (negative_prompt_3).",
          "a text");

  public static final Parameter<Long> MAX_SEQUENCE_LENGTH =
      integer(
          "maxSequenceLength",
          "Tokens that T5 or Gemma reads of the prompt (max_sequence_length). T5's padding is"
              + " included; there, requests with different lengths do not share network calls.",
          Accepted.whole(1, 512));

  public static final Parameter<String> SOURCE_PROMPT =
      text(
          "sourcePrompt",
          "Text that describes the given image: DDIM inversion turns the image back into noise"
              + " with this text, and generates it again with the prompt. The same prompt,"
              + " without guidance, returns the image; another one edits it.",
          "a text");

  public static final Parameter<Double> SOURCE_GUIDANCE_SCALE =
      number(
          "sourceGuidanceScale",
          "Weight of guidance while the image is turned back into noise; above 1, the inversion is"
              + " less exact.",
          Accepted.finite("1 or less to turn guidance off"));

  public static final Parameter<Raster> IMAGE =
      image("image", "Image to start from, 0..1 (image).");

  public static final Parameter<Raster> IMAGE_2 =
      image("image2", "Second image, for a model that reads several.");

  public static final Parameter<Raster> IMAGE_3 =
      image("image3", "Third image, for a model that reads several.");

  public static final Parameter<Raster> IMAGE_4 =
      image("image4", "Fourth image, for a model that reads several.");

  public static final Parameter<Raster> MASK =
      image(
          "mask",
          "Mask of what to generate again: one channel, as large as the image; 0.5 and above is"
              + " generated again (mask_image). RePaintPipeline generates what is below 0.5, as"
              + " in diffusers.");

  public static final Parameter<Raster> CONTROL_IMAGE =
      image(
          "controlImage",
          "Image that the model's ControlNet, or a model with channels for it, follows, such as"
              + " edges, depths or a pose, 0..1 (image of StableDiffusionControlNetPipeline,"
              + " control_image of others). It is resized to the result's size. With several"
              + " ControlNets, the first one's.");

  public static final Parameter<Raster> CONTROL_IMAGE_2 =
      image("controlImage2", "Image of the second ControlNet; without it, that one adds nothing.");

  public static final Parameter<Raster> CONTROL_IMAGE_3 =
      image("controlImage3", "Image of the third ControlNet; without it, that one adds nothing.");

  public static final Parameter<Raster> CONTROL_IMAGE_4 =
      image("controlImage4", "Image of the fourth ControlNet; without it, that one adds nothing.");

  public static final Parameter<Numbers> CONTROLNET_CONDITIONING_SCALE =
      numbers(
          "controlnetConditioningScale",
          "Weight of what a ControlNet adds (controlnet_conditioning_scale): one number, or one for"
              + " each ControlNet.",
          Accepted.finiteNumbers());

  public static final Parameter<Numbers> CONTROL_GUIDANCE_START =
      numbers(
          "controlGuidanceStart",
          "Share of the steps after which a ControlNet begins to act (control_guidance_start): one"
              + " number, or one for each ControlNet.",
          Accepted.shares());

  public static final Parameter<Numbers> CONTROL_GUIDANCE_END =
      numbers(
          "controlGuidanceEnd",
          "Share of the steps after which a ControlNet no longer acts (control_guidance_end): one"
              + " number, or one for each ControlNet.",
          Accepted.shares());

  public static final Parameter<Long> GUESS_MODE =
      integer(
          "guessMode",
          "1 lets the control image alone guide, without a prompt: the unconditional row is not"
              + " controlled, and deeper features weigh more (guess_mode). A guidanceScale from 3"
              + " to 5 suits it.",
          Accepted.flag());

  public static final Parameter<Long> CONTROL_MODE =
      integer(
          "controlMode",
          "What a controlImage is, for a ControlNet of several kinds of images (control_mode): the"
              + " number that its model card gives this kind.",
          new Accepted<>("a whole number from 0", value -> value >= 0));

  public static final Parameter<Raster> ADAPTER_IMAGE =
      image(
          "adapterImage",
          "Image that the model's T2I-Adapter follows, such as edges, depths or a sketch, 0..1"
              + " (image of StableDiffusionAdapterPipeline). It is resized to the result's size."
              + " With several T2I-Adapters, the first one's.");

  public static final Parameter<Raster> ADAPTER_IMAGE_2 =
      image("adapterImage2", "Image of the second T2I-Adapter; without it, that one adds nothing.");

  public static final Parameter<Raster> ADAPTER_IMAGE_3 =
      image("adapterImage3", "Image of the third T2I-Adapter; without it, that one adds nothing.");

  public static final Parameter<Raster> ADAPTER_IMAGE_4 =
      image("adapterImage4", "Image of the fourth T2I-Adapter; without it, that one adds nothing.");

  public static final Parameter<Numbers> ADAPTER_CONDITIONING_SCALE =
      numbers(
          "adapterConditioningScale",
          "Weight of what a T2I-Adapter adds (adapter_conditioning_scale): one number, or one for"
              + " each T2I-Adapter.",
          Accepted.finiteNumbers());

  public static final Parameter<Double> ADAPTER_CONDITIONING_FACTOR =
      number(
          "adapterConditioningFactor",
          "Share of the steps, from the first, in which T2I-Adapters act"
              + " (adapter_conditioning_factor).",
          Accepted.number(0, 1));

  public static final Parameter<Raster> IP_ADAPTER_IMAGE =
      image(
          "ipAdapterImage",
          "Image whose content and style the result takes on, beside the prompt or with an empty"
              + " one alone, 0..1 (ip_adapter_image). With several IP-Adapters, the first one's.");

  public static final Parameter<Raster> IP_ADAPTER_IMAGE_2 =
      image(
          "ipAdapterImage2", "One more image for the IP-Adapter, or the image of the second one.");

  public static final Parameter<Raster> IP_ADAPTER_IMAGE_3 =
      image("ipAdapterImage3", "One more image for the IP-Adapter, or the image of the third one.");

  public static final Parameter<Raster> IP_ADAPTER_IMAGE_4 =
      image(
          "ipAdapterImage4", "One more image for the IP-Adapter, or the image of the fourth one.");

  public static final Parameter<Numbers> IP_ADAPTER_SCALE =
      numbers(
          "ipAdapterScale",
          "Weight of what an IP-Adapter adds (set_ip_adapter_scale): one number, or one for each"
              + " IP-Adapter.",
          Accepted.finiteNumbers());

  public static final Parameter<Long> SEED =
      integer(
          "seed",
          "Seed of the noise (generator); derived from the id when absent.",
          Accepted.any("a number"));

  public static final Parameter<Long> VARIATION_SEED =
      integer(
          "variationSeed",
          "Second seed: the first noise lies between the seed's and this one's (variation seed of"
              + " AUTOMATIC1111's web UI, interpolated as one vector). Later noise is the seed's.",
          Accepted.any("a number"));

  public static final Parameter<Double> VARIATION_STRENGTH =
      number(
          "variationStrength",
          "How far the first noise is from the seed's to the variationSeed's, along the arc between"
              + " them (slerp).",
          Accepted.number(0, 1));

  public static final Parameter<String> VARIATION_PROMPT =
      text(
          "variationPrompt",
          "Second prompt: the network sees what lies between the encodings of both.",
          "a text");

  public static final Parameter<Double> VARIATION_PROMPT_STRENGTH =
      number(
          "variationPromptStrength",
          "How far the encoding is from the prompt's to the variationPrompt's, along the arc"
              + " between them (slerp).",
          Accepted.number(0, 1));

  public static final Parameter<String> SCHEDULER =
      text("scheduler", "diffusers class name of the scheduler.", "the name of a scheduler class");

  public static final Parameter<Long> STEPS =
      integer(
          "steps",
          "Inference steps (num_inference_steps), from 1; the scheduler says up to how many.",
          Accepted.whole());

  public static final Parameter<Numbers> TIMESTEPS =
      numbers(
          "timesteps",
          "List of timesteps in place of the scheduler's spacing, noisiest first (timesteps);"
              + " docs/SUPPORTED.md says which schedulers take them.",
          Accepted.falling());

  public static final Parameter<Numbers> SIGMAS =
      numbers(
          "sigmas",
          "List of noise levels in place of the scheduler's, greatest first (sigmas);"
              + " docs/SUPPORTED.md says which schedulers take them. For EulerDiscreteScheduler,"
              + " the last one is the level to end at.",
          Accepted.falling());

  public static final Parameter<Long> ORIGINAL_INFERENCE_STEPS =
      integer(
          "originalInferenceSteps",
          "Steps of the schedule that a consistency model was distilled on, of which the request's"
              + " steps are a selection (original_inference_steps); for LCM and TCD schedulers.",
          Accepted.wholeFrom(1));

  public static final Parameter<Long> CLIP_SKIP =
      integer(
          "clipSkip",
          "Number of the text encoder's last layers to leave out for the prompt, not for the"
              + " negative one (clip_skip).",
          Accepted.wholeFrom(0));

  public static final Parameter<String> PROMPT_LANGUAGE =
      text(
          "promptLanguage",
          "What brackets and weights in prompt and negativePrompt mean: plain takes them as"
              + " characters, as diffusers does, a1111 as AUTOMATIC1111's web UI does:"
              + " (word:1.3), [word], BREAK, AND, [from:to:0.5], more than 77 tokens; compel as"
              + " the Python library Compel does: word++, (some words)1.3, .and(), .blend().",
          new Accepted<>(PromptLanguage.names(), value -> PromptLanguage.named(value).isPresent()));

  public static final Parameter<String> LORAS =
      text(
          "loras",
          "LoRAs of the image, of those that the job allows (diffusion.loras.allowed): names"
              + " with scales, such as style:0.8,face:-0.3; without a scale it is 1. Results"
              + " and saved requests name the SHA-256 of each file, too: style:0.8@....",
          new Accepted<>(RequestedLora.ACCEPTED, RequestedLora::isValid));

  public static final Parameter<Double> GUIDANCE_SCALE =
      number(
          "guidanceScale",
          "Weight of classifier-free guidance (guidance_scale); 1 or less turns it off.",
          Accepted.finite("1 or less to turn guidance off"));

  public static final Parameter<Numbers> GUIDANCE_INTERVAL =
      numbers(
          "guidanceInterval",
          "Part of the steps that have guidance, from a share of the steps to another (start and"
              + " stop of diffusers' guiders). The other steps compute the prompt alone, which"
              + " takes half the rows.",
          Accepted.interval());

  public static final Parameter<Long> CACHE_INTERVAL =
      integer(
          "cacheInterval",
          "Steps from one that computes the whole network to the next; those between compute a"
              + " UNet's outer blocks (DeepCache's cache_interval) or a transformer's first blocks"
              + " alone and reuse features of the last whole step. 1 computes all. Needs a job with"
              + " diffusion.cache.interval.",
          Accepted.whole(1, Caching.LONGEST_INTERVAL));

  public static final Parameter<Double> CACHE_THRESHOLD =
      number(
          "cacheThreshold",
          "Change of what a transformer's first blocks add, since the last whole step and relative"
              + " to it, above which a step computes the whole network (threshold of diffusers'"
              + " FirstBlockCacheConfig), such as 0.1. At most cacheInterval - 1 steps follow each"
              + " other that do not. 0 leaves the steps to cacheInterval. Needs a job with"
              + " diffusion.cache.threshold.",
          new Accepted<>("a number from 0 to 10", Caching::isThreshold));

  public static final Parameter<Long> TAYLOR_ORDER =
      integer(
          "taylorOrder",
          "Order of the series by which the steps between whole ones continue what a transformer"
              + " gave, without computing anything (max_order of diffusers' TaylorSeerCacheConfig"
              + " with use_lite_mode): 0 repeats it, 1 continues in a line. Whole steps are the"
              + " first ones and then one in cacheInterval. Needs a job with"
              + " diffusion.cache.interval.",
          Accepted.whole(0, Extrapolation.HIGHEST_ORDER));

  public static final Parameter<Long> TAYLOR_START =
      integer(
          "taylorStart",
          "Steps at the beginning that all compute the whole network"
              + " (disable_cache_before_step); the one after them is the first that continues the"
              + " series of taylorOrder.",
          Accepted.wholeFrom(1));

  public static final Parameter<Double> TRUE_CFG_SCALE =
      number(
          "trueCfgScale",
          "Weight of classifier-free guidance by a negative prompt (true_cfg_scale); 1 or less, or"
              + " no negative prompt, turns it off.",
          Accepted.finite("1 or less to turn guidance off"));

  public static final Parameter<Numbers> SKIP_GUIDANCE_LAYERS =
      numbers(
          "skipGuidanceLayers",
          "Blocks of the transformer, counted from 0, that a third prediction leaves out; guidance"
              + " leads away from it (skip_guidance_layers). For Stable Diffusion 3.5 medium: 7, 8,"
              + " 9. Used with guidance.",
          Accepted.layers());

  public static final Parameter<Double> SKIP_LAYER_GUIDANCE_SCALE =
      number(
          "skipLayerGuidanceScale",
          "Weight of the guidance away from the prediction without layers"
              + " (skip_layer_guidance_scale).",
          Accepted.finite());

  public static final Parameter<Double> SKIP_LAYER_GUIDANCE_START =
      number(
          "skipLayerGuidanceStart",
          "Share of the steps after which layers are left out (skip_layer_guidance_start).",
          Accepted.number(0, 1));

  public static final Parameter<Double> SKIP_LAYER_GUIDANCE_STOP =
      number(
          "skipLayerGuidanceStop",
          "Share of the steps up to which layers are left out (skip_layer_guidance_stop).",
          Accepted.number(0, 1));

  public static final Parameter<Double> PAG_SCALE =
      number(
          "pagScale",
          "Weight of perturbed-attention guidance (pag_scale): guidance leads away from a further"
              + " prediction without some self-attentions. 0 or less turns it off. Needs a job with"
              + " diffusion.unet-guidance.enabled.",
          Accepted.finite("0 or less to turn it off"));

  public static final Parameter<Double> PAG_ADAPTIVE_SCALE =
      number(
          "pagAdaptiveScale",
          "By how much pagScale is less for each timestep below 1000, down to 0"
              + " (pag_adaptive_scale).",
          Accepted.finiteFrom0());

  public static final Parameter<String> PAG_APPLIED_LAYERS =
      text(
          "pagAppliedLayers",
          "Self-attentions that are left out (pag_applied_layers): parts of their names,"
              + " separated by commas, such as mid or"
              + " down_blocks.2.attentions.1,up_blocks.1.",
          new Accepted<>(
              "1 to 20 parts of names of letters, digits, dots and underscores, separated by"
                  + " commas",
              value -> value.matches("[\\w.]{1,100}(,[\\w.]{1,100}){0,19}")));

  public static final Parameter<Double> FREEU_B1 =
      number(
          "freeuB1",
          "FreeU: factor of half of the features on the first level of the way up (b1 of"
              + " enable_freeu). Needs all four of them, and a job with"
              + " diffusion.unet-guidance.enabled.",
          Accepted.finite());

  public static final Parameter<Double> FREEU_B2 =
      number("freeuB2", "FreeU: the same on the second level (b2).", Accepted.finite());

  public static final Parameter<Double> FREEU_S1 =
      number(
          "freeuS1",
          "FreeU: factor of the lowest frequencies of what the first level of the way up gets from"
              + " the way down (s1).",
          Accepted.finite());

  public static final Parameter<Double> FREEU_S2 =
      number("freeuS2", "FreeU: the same on the second level (s2).", Accepted.finite());

  public static final Parameter<Double> GUIDANCE_RESCALE =
      number(
          "guidanceRescale",
          "How far the guided prediction is scaled back to the unguided one's deviation"
              + " (guidance_rescale), section 3.4 of Lin et al. 2023.",
          Accepted.number(0, 1));

  public static final Parameter<Double> IMAGE_GUIDANCE_SCALE =
      number(
          "imageGuidanceScale",
          "Weight of the given image: higher values keep the result closer to it"
              + " (image_guidance_scale).",
          Accepted.finiteFrom1());

  public static final Parameter<Double> STRENGTH =
      number(
          "strength",
          "Share of the given image that is generated again; 1 is all of it (strength).",
          Accepted.share());

  public static final Parameter<Double> ETA =
      number(
          "eta",
          "How stochastic DDIM and TCD are (eta); other schedulers ignore it.",
          Accepted.number(0, 1));

  public static final Parameter<Double> TEMPERATURE =
      number(
          "temperature",
          "Factor of the noise that stochastic steps draw; 1, or none, is diffusers, 0 leaves that"
              + " noise out. Schedulers that draw none ignore it.",
          Accepted.finiteFrom0());

  public static final Parameter<Long> JUMP_LENGTH =
      integer(
          "jumpLength",
          "Steps that RePaint goes back at a time, to more noise (jump_length).",
          Accepted.wholeFrom(1));

  public static final Parameter<Long> JUMP_N_SAMPLE =
      integer(
          "jumpNSample",
          "Number of times that RePaint repeats the steps after each jump; 1 is no jump"
              + " (jump_n_sample).",
          Accepted.wholeFrom(1));

  public static final Parameter<Long> WIDTH = integer("width", "In pixels.", Accepted.wholeFrom(1));

  public static final Parameter<Long> HEIGHT =
      integer("height", "In pixels.", Accepted.wholeFrom(1));

  public static final Parameter<Numbers> ORIGINAL_SIZE =
      pair(
          "originalSize",
          "Height and width that the image should look like it had before it was resized and"
              + " cropped (original_size); small sizes look coarse.");

  public static final Parameter<Numbers> CROPS_COORDS_TOP_LEFT =
      pair(
          "cropsCoordsTopLeft",
          "Top and left of the crop (crops_coords_top_left); zeros look well-centered.");

  public static final Parameter<Numbers> TARGET_SIZE =
      pair("targetSize", "Height and width of the image, as a condition (target_size).");

  public static final Parameter<Numbers> NEGATIVE_ORIGINAL_SIZE =
      pair(
          "negativeOriginalSize",
          "The original size that guidance leads away from (negative_original_size). Without an"
              + " image it counts only together with negativeTargetSize, as in diffusers.");

  public static final Parameter<Numbers> NEGATIVE_CROPS_COORDS_TOP_LEFT =
      pair(
          "negativeCropsCoordsTopLeft",
          "The top and left that guidance leads away from (negative_crops_coords_top_left). They"
              + " count together with both negative sizes without an image, and beside an aesthetic"
              + " score with one, as in diffusers.");

  public static final Parameter<Numbers> NEGATIVE_TARGET_SIZE =
      pair(
          "negativeTargetSize",
          "The target size that guidance leads away from (negative_target_size). Without an image"
              + " it counts only together with negativeOriginalSize, as in diffusers.");

  public static final Parameter<Double> AESTHETIC_SCORE =
      number(
          "aestheticScore",
          "Aesthetic score that the refined image should have, about 1 to 10 (aesthetic_score).",
          Accepted.finite());

  public static final Parameter<Double> NEGATIVE_AESTHETIC_SCORE =
      number(
          "negativeAestheticScore",
          "The score that guidance leads away from (negative_aesthetic_score).",
          Accepted.finite());

  public static final Parameter<Long> NOISE_LEVEL =
      integer(
          "noiseLevel",
          "Timestep up to which noise is added to the small image before it is enlarged"
              + " (noise_level).",
          Accepted.wholeFrom(0));

  public static final Parameter<Long> CLASS_LABEL =
      integer(
          "classLabel", "Number of the class to generate (class_labels).", Accepted.wholeFrom(0));

  public static final Parameter<String> GLIGEN_OBJECTS =
      text(
          "gligenObjects",
          "Objects and their places in the image, as JSON: [{\"phrase\": \"a cat\", \"box\": [0.1,"
              + " 0.2, 0.5, 0.9]}], each box is left, top, right and bottom, from 0 to 1"
              + " (gligen_phrases, gligen_boxes).",
          "a JSON array of 1 to 30 objects, each of a \"phrase\" and a \"box\" of four numbers from"
              + " 0 to 1, left less than right and top less than bottom");

  public static final Parameter<Double> GLIGEN_SCHEDULED_SAMPLING_BETA =
      number(
          "gligenScheduledSamplingBeta",
          "Share of the steps, from the first on, in which the network sees the objects"
              + " (gligen_scheduled_sampling_beta).",
          Accepted.number(0, 1));

  public static final Parameter<Long> USE_CLIPPED_MODEL_OUTPUT =
      integer(
          "useClippedModelOutput",
          "1 computes DDIM's noise from the clipped image (use_clipped_model_output).",
          Accepted.flag());

  public static final Parameter<Numbers> TILE_TOP_LEFT =
      numbers(
          "tileTopLeft",
          "Left and top of an image that is a part of a larger result, in pixels of that result."
              + " The noise is then a function of the place, so overlapping parts agree. Image"
              + " tasks set it for their tiles.",
          Accepted.pixel());

  public static final Parameter<Long> PROCESSING_RESOLUTION =
      integer(
          "processingResolution",
          "Longer side, in pixels, at which the network works on the image (processing_resolution);"
              + " 0 is the image's own.",
          Accepted.whole(0, 8192));

  public static final Parameter<String> RESULT =
      text(
          "result",
          "Kind of result that the instruction asks for, with a model for vision tasks"
              + " (InstructCV): a picture, a mask of what it segments, or boxes around what"
              + " it detects. Mask and boxes are read from the generated image.",
          new Accepted<>(
              "picture, mask or boxes",
              value -> Set.of("picture", "mask", "boxes").contains(value)));

  public static final Parameter<String> LABELS =
      text(
          "labels",
          "Names of the classes of the mask or the boxes, for the result's regions, separated by"
              + " semicolons.",
          "names separated by semicolons");

  public static final Parameter<Numbers> COLORS =
      numbers(
          "colors",
          "Color of each label in the generated image: red, green and blue in turn. Default for"
              + " one label: white on black in a mask, blue for boxes. Black is the background.",
          Accepted.colors());

  public static final Parameter<String> CANDIDATE_LABELS =
      text(
          "candidateLabels",
          "Labels, one of which the image gets, as JSON: [\"cat\", \"dog\"]"
              + " (candidate_labels).",
          new Accepted<>(ImageLabels.ACCEPTED, ImageLabels::isValid));

  public static final Parameter<String> LABEL_TEMPLATE =
      text(
          "labelTemplate",
          "Text that a label becomes before it is compared with the image; {} stands for the"
              + " label (hypothesis_template).",
          new Accepted<>(
              "a text of at most 500 characters with {} once",
              text ->
                  text.length() <= 500
                      && text.indexOf(ImageLabels.PLACE) >= 0
                      && text.indexOf(ImageLabels.PLACE) == text.lastIndexOf(ImageLabels.PLACE)));

  public static final Parameter<Long> MAX_NEW_TOKENS =
      integer(
          "maxNewTokens",
          "Most tokens of a text, without those of the prompt (max_new_tokens).",
          Accepted.whole(1, 1024));

  public static final Parameter<Long> NUM_BEAMS =
      integer(
          "numBeams",
          "Number of beams of beam search; 1 takes the best token each time (num_beams).",
          Accepted.whole(1, 16));

  public static final Parameter<Double> LENGTH_PENALTY =
      number(
          "lengthPenalty",
          "Exponent of a text's length, by which beam search divides its score: above 0 prefers"
              + " longer texts (length_penalty).",
          Accepted.number(-10, 10));

  public static final Parameter<Long> DO_SAMPLE =
      integer(
          "doSample",
          "1 draws each token by its probability and the seed (do_sample).",
          Accepted.flag());

  public static final Parameter<Double> SAMPLING_TEMPERATURE =
      number(
          "samplingTemperature",
          "Scores are divided by it before a token is drawn: below 1 is less random (temperature of"
              + " transformers).",
          Accepted.number(0.01, 100));

  public static final Parameter<Long> TOP_K =
      integer(
          "topK",
          "Number of the best tokens of which one is drawn; 0 is all of them (top_k).",
          Accepted.wholeFrom(0));

  public static final Parameter<Double> TOP_P =
      number(
          "topP",
          "A token is drawn of the fewest best ones whose probabilities add up to this (top_p).",
          Accepted.share());

  public static final Parameter<String> MODE =
      text(
          "mode",
          "What a model of images and texts generates (UniDiffuser): an image and its text"
              + " (joint), an image of the prompt (text2img), a text about the image"
              + " (img2text), a text alone (text) or an image alone (img).",
          new Accepted<>(JointMode.ACCEPTED, value -> JointMode.named(value).isPresent()));

  public static final Parameter<Long> DATA_TYPE =
      integer(
          "dataType",
          "Kind of training data that results are to be like, with UniDiffuser v1: 1 is the"
              + " authors' own, 0 is LAION (data_type).",
          Accepted.flag());

  private Parameters() {}

  /** All of them, in the order of the reference page. */
  public static Collection<Parameter<?>> all() {
    return Collections.unmodifiableCollection(ALL.values());
  }

  public static Optional<Parameter<?>> named(String name) {
    return Optional.ofNullable(ALL.get(name));
  }

  private static Parameter<String> text(String name, String description, String accepted) {
    return text(name, description, Accepted.any(accepted));
  }

  private static Parameter<String> text(
      String name, String description, Accepted<String> accepted) {
    return add(new Parameter<>(name, String.class, description, accepted));
  }

  private static Parameter<Raster> image(String name, String description) {
    return add(new Parameter<>(name, Raster.class, description, Accepted.any("an image")));
  }

  private static Parameter<Long> integer(String name, String description, Accepted<Long> accepted) {
    return add(new Parameter<>(name, Long.class, description, accepted));
  }

  private static Parameter<Double> number(
      String name, String description, Accepted<Double> accepted) {
    return add(new Parameter<>(name, Double.class, description, accepted));
  }

  private static Parameter<Numbers> numbers(
      String name, String description, Accepted<Numbers> accepted) {
    return add(new Parameter<>(name, Numbers.class, description, accepted));
  }

  private static Parameter<Numbers> pair(String name, String description) {
    return numbers(name, description, Accepted.pixels());
  }

  private static <T> Parameter<T> add(Parameter<T> parameter) {
    ALL.put(parameter.name(), parameter);
    return parameter;
  }
}
