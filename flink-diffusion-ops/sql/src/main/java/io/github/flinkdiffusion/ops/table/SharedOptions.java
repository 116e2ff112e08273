/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.table;

import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.flink.configuration.ConfigOption;

/**
 * Those of {@link DiffusionOptions} that a model has in SQL, too, where it serves rows and not a
 * stream.
 */
final class SharedOptions {
  private SharedOptions() {}

  /** Each with what it takes, in words. */
  static Map<ConfigOption<?>, String> all() {
    Map<ConfigOption<?>, String> options = new LinkedHashMap<>();
    String bool = "true or false";
    options.put(
        DiffusionOptions.MODEL_FOLDER,
        "the path of a model folder in diffusers' layout, or of a single-file checkpoint, that all"
            + " task managers have, hf://owner/name[@revision], or an address such as"
            + " s3://bucket/models/name");
    options.put(DiffusionOptions.ENGINE, "auto, onnxruntime or pytorch");
    options.put(DiffusionOptions.MODEL_PRECISION, "FLOAT32, FLOAT16 or BFLOAT16");
    options.put(
        DiffusionOptions.MODEL_PRECISIONS,
        "a list of component=precision, such as 'text_encoder_3=BFLOAT16;vae=FLOAT32'");
    options.put(
        DiffusionOptions.MODEL_DEVICES,
        "a list of component=device, such as 'text_encoder_3=cpu;vae=gpu:1'");
    options.put(DiffusionOptions.MODEL_UNLOAD_TEXT_ENCODERS, bool);
    options.put(DiffusionOptions.MODEL_PIPELINE, "the name of a pipeline class of diffusers");
    options.put(DiffusionOptions.MODEL_ARCHIVES, "the path of a folder");
    options.put(DiffusionOptions.MODEL_SAFETY_CHECKER, bool);
    options.put(DiffusionOptions.MODEL_WATERMARK, bool);
    options.put(
        DiffusionOptions.MODEL_LORAS,
        "a list of file=scale, such as"
            + " '/loras/style.safetensors=0.8;/loras/face.safetensors=-0.3'");
    options.put(
        DiffusionOptions.MODEL_IP_ADAPTERS,
        "a list of files, such as '/adapters/ip-adapter-plus_sd15.safetensors'");
    options.put(
        DiffusionOptions.MODEL_IMAGE_ENCODER, "the path of a folder, or hf://owner/name/folder");
    options.put(
        DiffusionOptions.LORAS_ALLOWED,
        "a list of name=file, such as"
            + " 'style=/loras/style.safetensors;face=/loras/face.safetensors'");
    options.put(DiffusionOptions.LORAS_RESIDENT, "a whole number from 1 to 1024");
    options.put(
        DiffusionOptions.MODEL_CONFIGS,
        "the path of a folder in diffusers' layout, hf://owner/name, or an address");
    options.put(DiffusionOptions.MODEL_VARIANT, "the name of a variant, such as fp16");
    options.put(
        DiffusionOptions.MODELS,
        "a list of name=folder, such as 'emoji=/models/mini-emoji;photo=hf://owner/name'");
    options.put(DiffusionOptions.DEVICE, "auto, cpu or gpu:N");
    options.put(DiffusionOptions.DEVICE_WAIT, "a time above zero, such as '5 min'");
    options.put(DiffusionOptions.DEVICE_KEEP_MODEL, "a time such as '10 s', from zero to one day");
    options.put(DiffusionOptions.DEVICE_MEMORY, "a size such as '2 gb'");
    options.put(DiffusionOptions.CACHE_INTERVAL, "a whole number from 1 to 50");
    options.put(DiffusionOptions.CACHE_BRANCH, "a whole number from 0");
    options.put(DiffusionOptions.CACHE_THRESHOLD, "a number from 0 to 10");
    options.put(DiffusionOptions.CACHE_MEMORY, "a size such as '1 gb'");
    options.put(DiffusionOptions.UNET_GUIDANCE, "true or false");
    options.put(DiffusionOptions.MODELS_MEMORY, "a size such as '2 gb'");
    options.put(DiffusionOptions.MODELS_TURN, "a time such as '10 s', from zero to one day");
    options.put(DiffusionOptions.BATCH_ROWS, "a whole number from 1");
    options.put(DiffusionOptions.BATCH_AGING, "a time such as '10 s', from zero to one day");
    options.put(DiffusionOptions.REQUEST_TIMEOUT, "a time above zero, such as '5 min'");
    options.put(DiffusionOptions.REQUEST_RETRIES, "a whole number from 0 to 10");
    options.put(DiffusionOptions.REQUEST_MAX_PIXELS, "a whole number from 1");
    options.put(DiffusionOptions.REQUEST_MAX_STEPS, "a whole number from 1");
    options.put(DiffusionOptions.REQUEST_MAX_PROMPT_LENGTH, "a whole number from 0");
    options.put(DiffusionOptions.ENCODING_WORKERS, "a whole number from 1");
    options.put(DiffusionOptions.AUDIT_IN_IMAGES, bool);
    options.put(
        DiffusionOptions.LABEL_TEXT,
        "a text of up to 60 characters of ASCII, such as 'AI generated'");
    options.put(
        DiffusionOptions.CREDENTIALS_KEY_FILE,
        "the path of a PKCS#12 file that all task managers have");
    options.put(DiffusionOptions.CREDENTIALS_KEY_ALIAS, "the alias of a key in that file");
    options.put(
        DiffusionOptions.CREDENTIALS_PASSWORD_FILE,
        "the path of a file that all task managers have");
    options.put(
        DiffusionOptions.WATERMARK_KEY_FILE, "the path of a file that all task managers have");
    options.put(
        DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE,
        "the path of a text file that all task managers have");
    options.put(
        DiffusionOptions.SAFETY_CONCEPTS_FILE,
        "the path of a text file that all task managers have");
    options.put(
        DiffusionOptions.SAFETY_CLIP_FOLDER, "the path of a folder that all task managers have");
    return Collections.unmodifiableMap(options);
  }
}
