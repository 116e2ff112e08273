/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What another value of each option does to a request that is under way when its job starts again.
 * {@link WhatDecidesAnImageTest} tries each, and an option that is not here fails it by name;
 * docs/OPTIONS.md has those that do anything.
 */
final class ImageDeciders {
  /** What becomes of a request in flight. */
  enum Effect {
    BEGINS_ANEW("begins again, with the new value"),
    KEEPS("continues at its step, with the value that it began with"),
    FILE_ONLY("continues at its step; its result's file has the new value"),
    REFUSED("fails, with a message that names it"),
    NOTHING("continues at its step, to the same image");

    final String text;

    Effect(String text) {
      this.text = text;
    }
  }

  /**
   * @param key the option
   * @param when which change, for people; empty for any
   * @param prompt what becomes of a prompt
   * @param task what becomes of an image task
   * @param before further settings that both jobs have, and the value before
   * @param after as before, with the value after
   * @param needs what a trial takes: nothing, a model folder of its own kind, or the long build
   */
  record Change(
      String key,
      String when,
      Effect prompt,
      Effect task,
      Map<String, String> before,
      Map<String, String> after,
      Needs needs) {

    Change besides(String... keysAndValues) {
      Map<String, String> earlier = new HashMap<>(before);
      Map<String, String> later = new HashMap<>(after);
      for (int i = 0; i < keysAndValues.length; i += 2) {
        earlier.putIfAbsent(keysAndValues[i], keysAndValues[i + 1]);
        later.putIfAbsent(keysAndValues[i], keysAndValues[i + 1]);
      }
      return new Change(key, when, prompt, task, earlier, later, needs);
    }

    /** Further options that the later job has too, because the option has no use without them. */
    Change with(String... keysAndValues) {
      Map<String, String> later = new HashMap<>(after);
      for (int i = 0; i < keysAndValues.length; i += 2) {
        later.put(keysAndValues[i], keysAndValues[i + 1]);
      }
      return new Change(key, when, prompt, task, before, later, needs);
    }

    Change needing(Needs other) {
      return new Change(key, when, prompt, task, before, after, other);
    }

    @Override
    public String toString() {
      return when.isEmpty() ? key : key + ", " + when;
    }
  }

  /** What a trial of a change takes. */
  enum Needs {
    NOTHING,
    /** Of the operator's models: a stand-in for one does not notice. */
    A_MODEL,
    /** As {@link #A_MODEL}, and more time than a quick build has. */
    TIME,
    /** Tried with the kinds of requests that it is about, by name. */
    ITS_OWN_KIND
  }

  private static final List<Change> ALL = new ArrayList<>();

  private ImageDeciders() {}

  static List<Change> all() {
    return List.copyOf(ALL);
  }

  /** By key, in the options' order. */
  static Map<String, List<Change>> byKey() {
    Map<String, List<Change>> byKey = new LinkedHashMap<>();
    ALL.forEach(each -> byKey.computeIfAbsent(each.key, key -> new ArrayList<>()).add(each));
    return byKey;
  }

  private static Change change(
      String key, String when, Effect prompt, Effect task, String before, String after) {
    return new Change(
        key,
        when,
        prompt,
        task,
        before == null ? Map.of() : Map.of(key, before),
        after == null ? Map.of() : Map.of(key, after),
        Needs.NOTHING);
  }

  private static void add(Change... changes) {
    ALL.addAll(List.of(changes));
  }

  private static Change anew(String key, String before, String after) {
    return change(key, "", Effect.BEGINS_ANEW, Effect.BEGINS_ANEW, before, after)
        .needing(Needs.A_MODEL);
  }

  private static Change ofTasks(String key, String before, String after) {
    return change(key, "", Effect.NOTHING, Effect.BEGINS_ANEW, before, after);
  }

  private static Change file(String key, String after) {
    return change(key, "", Effect.FILE_ONLY, Effect.FILE_ONLY, null, after);
  }

  private static void nothing(String key, String after) {
    add(change(key, "", Effect.NOTHING, Effect.NOTHING, null, after));
  }

  private static final String ENGINE = "diffusion.engine";
  private static final String INTERVAL = "diffusion.cache.interval";

  static {
    add(
        anew("diffusion.model.folder", "{folder}", "{other folder}"),
        anew(ENGINE, "onnxruntime", "pytorch").needing(Needs.TIME),
        anew("diffusion.model.precision", null, "BFLOAT16")
            .besides(ENGINE, "pytorch")
            .needing(Needs.TIME),
        anew("diffusion.model.precisions", null, "{component}=BFLOAT16")
            .besides(ENGINE, "pytorch")
            .needing(Needs.TIME),
        change(
                "diffusion.model.devices",
                "another kind of device",
                Effect.BEGINS_ANEW,
                Effect.BEGINS_ANEW,
                null,
                "{component}=gpu:0")
            .needing(Needs.ITS_OWN_KIND));
    nothing("diffusion.model.unload-text-encoders", "true");
    add(anew("diffusion.model.pipeline", null, "{pipeline}"));
    nothing("diffusion.model.archives", "{archives}");
    add(
        change(
                "diffusion.model.safety-checker",
                "where the model has one",
                Effect.BEGINS_ANEW,
                Effect.BEGINS_ANEW,
                null,
                "false")
            .besides("diffusion.model.folder", "{checked folder}")
            .needing(Needs.A_MODEL),
        anew("diffusion.model.watermark", null, "true"),
        anew("diffusion.model.loras", null, "{lora}=0.5"),
        anew("diffusion.model.ip-adapters", null, "{ip-adapter}").needing(Needs.ITS_OWN_KIND),
        anew("diffusion.model.image-encoder", null, "{encoder}").needing(Needs.ITS_OWN_KIND),
        change(
                "diffusion.loras.allowed",
                "of a request that names a LoRA",
                Effect.REFUSED,
                Effect.REFUSED,
                "style={lora}",
                "style={other lora}")
            .needing(Needs.ITS_OWN_KIND));
    nothing("diffusion.loras.resident", "4");
    add(
        anew("diffusion.model.configs", "{configs}", "{other configs}").needing(Needs.ITS_OWN_KIND),
        anew("diffusion.model.variant", null, "fp16")
            .besides("diffusion.model.folder", "{folder of variants}"));
    nothing("diffusion.models", "other={folder}");
    nothing("diffusion.device.models-memory", "8 gb");
    nothing("diffusion.device.models-turn", "20 s");
    add(
        change(
                "diffusion.device",
                "another kind of device",
                Effect.BEGINS_ANEW,
                Effect.BEGINS_ANEW,
                "cpu",
                "gpu:0")
            .needing(Needs.ITS_OWN_KIND));
    nothing("diffusion.device.wait", "1 min");
    nothing("diffusion.device.keep-model", "1 s");
    nothing("diffusion.device.memory", "8 gb");
    add(
        change(INTERVAL, "set or no longer set", Effect.BEGINS_ANEW, Effect.BEGINS_ANEW, null, "2")
            .needing(Needs.A_MODEL),
        change(INTERVAL, "another number", Effect.KEEPS, Effect.BEGINS_ANEW, "2", "3")
            .needing(Needs.A_MODEL),
        change("diffusion.cache.branch", "", Effect.BEGINS_ANEW, Effect.BEGINS_ANEW, "0", "1")
            .besides(INTERVAL, "2")
            .needing(Needs.A_MODEL),
        change(
                "diffusion.cache.threshold",
                "no longer set",
                Effect.BEGINS_ANEW,
                Effect.BEGINS_ANEW,
                "0.1",
                null)
            .besides(INTERVAL, "2")
            .needing(Needs.ITS_OWN_KIND),
        change(
                "diffusion.cache.threshold",
                "another number",
                Effect.KEEPS,
                Effect.BEGINS_ANEW,
                "0.1",
                "0.2")
            .besides(INTERVAL, "2")
            .needing(Needs.ITS_OWN_KIND),
        change("diffusion.cache.memory", "", Effect.NOTHING, Effect.NOTHING, null, "64 mb")
            .besides(INTERVAL, "2")
            .needing(Needs.A_MODEL),
        change(
                "diffusion.unet-guidance.enabled",
                "off, of a request that uses it",
                Effect.REFUSED,
                Effect.REFUSED,
                "true",
                "false")
            .needing(Needs.ITS_OWN_KIND));
    nothing("diffusion.capacity", "7");
    nothing("diffusion.batch.rows", "3");
    nothing("diffusion.batch.aging", "3 s");
    nothing("diffusion.output-order", "ORDERED");
    nothing("diffusion.tenants.attribute", "owner");
    nothing("diffusion.tenants.weights", "acme:3");
    nothing("diffusion.tenants.max-in-flight", "3");
    nothing("diffusion.request.timeout", "1 h");
    nothing("diffusion.request.retries", "3");
    nothing("diffusion.request.max-pixels", "2000000");
    nothing("diffusion.request.max-steps", "900");
    nothing("diffusion.request.max-prompt-length", "9000");
    nothing("diffusion.request.max-attributes", "100");
    nothing("diffusion.request.max-attributes-size", "32 kb");
    nothing("diffusion.request.attempts", "5");
    nothing("diffusion.request.process-deaths", "4");
    nothing("diffusion.outage.retry-time", "1 min");
    nothing("diffusion.outage.action", "FAIL_REQUEST");
    add(
        kept("diffusion.default.steps", "4", "6"),
        kept("diffusion.default.guidance-scale", "2", "3"),
        kept("diffusion.default.scheduler", "{scheduler}", "{other scheduler}"),
        change("diffusion.default.width", "", Effect.KEEPS, Effect.NOTHING, null, "{side}"),
        change("diffusion.default.height", "", Effect.KEEPS, Effect.NOTHING, null, "{side}"));
    nothing("diffusion.progress.every-steps", "2");
    nothing("diffusion.progress.preview-every-steps", "2");
    nothing("diffusion.encoding.workers", "3");
    add(
        file("diffusion.audit.in-images", "false"),
        file("diffusion.audit.attributes", "customer"),
        file("diffusion.label.text", "AI"),
        file("diffusion.credentials.key-file", "{certificate}")
            .with("diffusion.credentials.password-file", "{password}"),
        file("diffusion.credentials.key-alias", "images")
            .with(
                "diffusion.credentials.key-file", "{certificate}",
                "diffusion.credentials.password-file", "{password}"),
        file("diffusion.credentials.password-file", "{password}")
            .with("diffusion.credentials.key-file", "{certificate}"),
        file("diffusion.watermark.key-file", "{watermark key}"));
    add(
        screened("diffusion.safety.blocked-phrases-file", "{phrases}"),
        screened("diffusion.safety.concepts-file", "{concepts}")
            .with("diffusion.safety.clip-folder", "{clip}"),
        screened("diffusion.safety.clip-folder", "{clip}")
            .with("diffusion.safety.concepts-file", "{concepts}"));

    add(
        ofTasks("diffusion.default.ensemble-size", null, "2"),
        ofTasks("diffusion.image.bands", null, "{bands}"),
        ofTasks("diffusion.image.value-range", null, "0..30000"),
        ofTasks("diffusion.image.not-finite-as", null, "0"),
        change("diffusion.image.patient-data", "", Effect.NOTHING, Effect.FILE_ONLY, null, "true"));
    nothing("diffusion.image.max-pixels", "100000000");
    nothing("diffusion.image.max-slices", "100");
    nothing("diffusion.image.memory", "64 mb");
    nothing("diffusion.image.max-decoded-size", "64 mb");
    nothing("diffusion.image.parts-in-flight", "3");
    add(
        change("diffusion.image.format", "", Effect.NOTHING, Effect.FILE_ONLY, null, "PNG"),
        ofTasks("diffusion.tile.size", null, "{tile}"),
        change(
            "diffusion.tile.overlap",
            "that changes where tiles lie",
            Effect.NOTHING,
            Effect.BEGINS_ANEW,
            null,
            "{overlap}"));

    // Frames of live streams begin again at each restart, whatever the options say.
    nothing("diffusion.live.enabled", "true");
    nothing("diffusion.live.blend", "0.5");
    nothing("diffusion.live.similarity", "0.9");
    nothing("diffusion.live.max-repeats", "3");
    nothing("diffusion.live.ttl", "1 min");
    nothing("diffusion.live.max-streams", "10");

    nothing("diffusion.payload.store", "{store}");
    nothing("diffusion.payload.inline-limit", "2 mb");
    nothing("diffusion.payload.allowed-prefixes", "file:///images");
    nothing("diffusion.payload.max-size", "1 gb");
    nothing("diffusion.payload.read-by-ranges", "true");
    nothing("diffusion.payload.key-file", "{payload key}");
  }

  private static Change kept(String key, String before, String after) {
    return change(key, "", Effect.KEEPS, Effect.BEGINS_ANEW, before, after);
  }

  /** An image task is opened again, and its prompt is read again. */
  private static Change screened(String key, String after) {
    return change(
            key,
            "one that refuses the request's prompt",
            Effect.NOTHING,
            Effect.REFUSED,
            null,
            after)
        .needing(Needs.A_MODEL);
  }
}
