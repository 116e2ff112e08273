/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.ops.operator;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.flinkdiffusion.connector.event.CancelEvent;
import io.github.flinkdiffusion.connector.event.PromptEvent;
import io.github.flinkdiffusion.connector.payload.PayloadOptions;
import io.github.flinkdiffusion.connector.payload.PayloadSettings;
import io.github.flinkdiffusion.ops.batching.MemoryShare;
import io.github.flinkdiffusion.ops.batching.Tenant;
import io.github.flinkdiffusion.ops.fakes.FakePipelines;
import io.github.flinkdiffusion.ops.graph.Precision;
import io.github.flinkdiffusion.ops.pipeline.Caching;
import io.github.flinkdiffusion.ops.serving.AuditAttributes;
import io.github.flinkdiffusion.ops.serving.DiffusionException;
import io.github.flinkdiffusion.ops.serving.DiffusionOptions;
import io.github.flinkdiffusion.ops.serving.DiffusionSettings;
import io.github.flinkdiffusion.ops.serving.ImageSettings;
import io.github.flinkdiffusion.ops.serving.ImageTaskOptions;
import io.github.flinkdiffusion.ops.serving.KnownOptions;
import io.github.flinkdiffusion.ops.serving.LabelSettings;
import io.github.flinkdiffusion.ops.serving.LiveOptions;
import io.github.flinkdiffusion.ops.serving.LiveSettings;
import io.github.flinkdiffusion.ops.serving.ModelFolderPipelines;
import io.github.flinkdiffusion.ops.serving.ModelSettings;
import io.github.flinkdiffusion.ops.serving.OutageAction;
import io.github.flinkdiffusion.ops.serving.OutputOrder;
import io.github.flinkdiffusion.ops.serving.RequestLimits;
import io.github.flinkdiffusion.ops.serving.TenantSettings;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.operators.SlotSharingGroup;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.formats.avro.typeutils.AvroTypeInfo;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamNode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the fluent entry point puts into a job, and what it refuses. */
class TextToImageTest {
  private final Configuration job = new Configuration();

  private DataStream<PromptEvent> prompts() {
    StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment(job);
    return env.fromData(
        new AvroTypeInfo<>(PromptEvent.class),
        PromptEvent.newBuilder().setId("a").setPrompt("a").build());
  }

  private static StreamNode node(DiffusionStreams streams) {
    return streams
        .images()
        .getExecutionEnvironment()
        .getStreamGraph(false)
        .getStreamNodes()
        .stream()
        .filter(node -> node.getOperatorName().matches("[^:]*image[^:]*"))
        .findAny()
        .orElseThrow();
  }

  @Test
  void theOperatorHasTheNameIdentitySlotsAndParallelismThatWereGiven() {
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new FakePipelines())
            .name("image maker")
            .uid("maker")
            .slotSharingGroup("gpu")
            .setParallelism(3)
            .apply(prompts());
    streams.images().print();
    StreamNode node = node(streams);

    assertThat(node.getOperatorName()).isEqualTo("image maker");
    assertThat(node.getTransformationUID()).isEqualTo("maker");
    assertThat(node.getSlotSharingGroup()).isEqualTo("gpu");
    assertThat(node.getParallelism()).isEqualTo(3);
  }

  @Test
  void slotsMayHaveGpusOfTheirOwn() {
    SlotSharingGroup gpu =
        SlotSharingGroup.newBuilder("gpu")
            .setCpuCores(1)
            .setTaskHeapMemoryMB(100)
            .setExternalResource("gpu", 1)
            .build();
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new FakePipelines())
            .slotSharingGroup(gpu)
            .apply(prompts());

    assertThat(streams.images().getTransformation().getSlotSharingGroup()).contains(gpu);
  }

  @Test
  void cancellationsHaveAnOperatorOfTheirOwnAndTheRequestsHaveOneInput() {
    DataStream<PromptEvent> prompts = prompts();
    DataStream<CancelEvent> cancellations =
        prompts
            .getExecutionEnvironment()
            .fromData(
                new AvroTypeInfo<>(CancelEvent.class), CancelEvent.newBuilder().setId("a").build());
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new FakePipelines())
            .setCancellations(cancellations)
            .name("image maker")
            .uid("maker")
            .setParallelism(3)
            .apply(prompts);
    streams.images().print();
    StreamNode node = node(streams);

    assertThat(node.getTransformationUID()).isEqualTo("maker");
    assertThat(node.getInEdges()).hasSize(1);
    StreamNode relay =
        prompts.getExecutionEnvironment().getStreamGraph(false).getStreamNodes().stream()
            .filter(each -> "maker-cancellations".equals(each.getTransformationUID()))
            .findFirst()
            .orElseThrow();
    assertThat(relay.getOperatorName()).isEqualTo("image maker: cancellations");
    assertThat(relay.getParallelism()).isEqualTo(1);
    assertThat(relay.getMaxParallelism()).isEqualTo(1);
  }

  @Test
  void withoutAModelItSaysHowToGiveOne() {
    assertThatThrownBy(() -> Diffusion.textToImage().apply(prompts()))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("model(folder)")
        .hasMessageContaining("diffusion.model.folder");
  }

  @Test
  void theModelFolderMayComeFromTheJobsConfiguration() {
    job.set(DiffusionOptions.MODEL_FOLDER, "/models/sd");
    DiffusionStreams streams = Diffusion.textToImage().apply(prompts());

    assertThat(streams.images().getParallelism()).isPositive();
  }

  record Refused(ConfigOption<?> option, String value) {}

  static final List<Refused> REFUSED =
      List.of(
          new Refused(DiffusionOptions.DEFAULT_WIDTH, "-1"),
          new Refused(DiffusionOptions.DEFAULT_HEIGHT, "0"),
          new Refused(DiffusionOptions.DEFAULT_STEPS, "0"),
          new Refused(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, "NaN"),
          new Refused(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, "1e999"),
          new Refused(DiffusionOptions.REQUEST_TIMEOUT, "366 d"),
          new Refused(DiffusionOptions.OUTAGE_RETRY_TIME, "9223372036854775807"),
          new Refused(DiffusionOptions.DEVICE_WAIT, "366 d"),
          new Refused(DiffusionOptions.DEVICE_KEEP_MODEL, "25 h"),
          new Refused(DiffusionOptions.DEVICE_KEEP_MODEL, "-1 s"),
          new Refused(DiffusionOptions.CAPACITY, "0"),
          new Refused(DiffusionOptions.CAPACITY, "abc"),
          new Refused(DiffusionOptions.MODEL_PRECISION, "INT4"),
          new Refused(DiffusionOptions.AUDIT_IN_IMAGES, "perhaps"),
          new Refused(DiffusionOptions.AUDIT_ATTRIBUTES, "a; ;b"),
          new Refused(DiffusionOptions.LABEL_TEXT, "K\u00fcnstlich"),
          new Refused(DiffusionOptions.DEFAULT_GUIDANCE_SCALE, "much"),
          new Refused(ImageTaskOptions.MEMORY, "all"),
          new Refused(PayloadOptions.MAX_SIZE, "big"),
          new Refused(DiffusionOptions.BATCH_ROWS, "-1"),
          new Refused(DiffusionOptions.BATCH_AGING, "25 h"),
          new Refused(DiffusionOptions.REQUEST_TIMEOUT, "0 s"),
          new Refused(DiffusionOptions.REQUEST_RETRIES, "-1"),
          new Refused(DiffusionOptions.REQUEST_RETRIES, "11"),
          new Refused(DiffusionOptions.PROGRESS_EVERY_STEPS, "-1"),
          new Refused(DiffusionOptions.PREVIEW_EVERY_STEPS, "-1"),
          new Refused(DiffusionOptions.ENCODING_WORKERS, "0"));

  @ParameterizedTest
  @FieldSource("REFUSED")
  void aValueThatMakesNoSenseIsRefusedWhenTheJobIsBuilt(Refused refused) {
    job.setString(refused.option.key(), refused.value);
    assertThatThrownBy(
            () -> Diffusion.textToImage().setPipeline(new FakePipelines()).apply(prompts()))
        .isInstanceOf(DiffusionException.class)
        .hasMessageStartingWith("Invalid value ")
        .hasMessageContaining(" for option " + refused.option.key() + ": expected ");
  }

  @Test
  void theFormerKeyOfAnOptionIsStillReadAndTheNewOneWins() {
    job.setString("diffusion.encoding.threads", "7");
    KnownOptions.refuseUnknown(job);
    assertThat(DiffusionSettings.of(job).encodingWorkers()).isEqualTo(7);
    job.setString("diffusion.encoding.workers", "3");
    assertThat(DiffusionSettings.of(job).encodingWorkers()).isEqualTo(3);
    assertThat(DiffusionSettings.of(job).auditInPictures()).isTrue();
    job.setString("diffusion.audit.in-pictures", "false");
    KnownOptions.refuseUnknown(job);
    assertThat(DiffusionSettings.of(job).auditInPictures()).isFalse();
  }

  @Test
  void onlyImageTasksAreFramesOfStreams() {
    List<DiffusionBuilder<?, ?>> others =
        List.of(
            Diffusion.textToImage().setOption(LiveOptions.ENABLED, true),
            Diffusion.imageToText().setOption(LiveOptions.ENABLED, true));
    for (DiffusionBuilder<?, ?> other : others) {
      assertThatThrownBy(() -> other.apply(null))
          .isInstanceOf(DiffusionException.class)
          .hasMessageContaining("diffusion.live.enabled")
          .hasMessageContaining("Diffusion.imageTasks()");
    }
  }

  @Test
  void anOptionThatThereIsNotIsRefusedWithTheNearestOne() {
    job.setString("diffusion.capasity", "8");
    assertThatThrownBy(
            () -> Diffusion.textToImage().setPipeline(new FakePipelines()).apply(prompts()))
        .isInstanceOf(DiffusionException.class)
        .hasMessage(
            "Unknown option 'diffusion.capasity' (did you mean 'diffusion.capacity'?). Correct the"
                + " key or remove it; docs/OPTIONS.md lists all options.");
  }

  @Test
  void optionsOfOtherRoomsAreKnown() {
    job.setString("diffusion.kafka.properties.security.protocol", "SSL");
    job.setString("diffusion.kafka.group-id", "posters");
    job.setString("diffusion.payload.inline-limit", "1 mb");
    job.setString("diffusion.image.bands", "1;2;3");
    assertThat(Diffusion.textToImage().setPipeline(new FakePipelines()).apply(prompts()))
        .isNotNull();
  }

  @ParameterizedTest
  @ValueSource(strings = {"tpu", "gpu", "gpu:x", "CPU", "gpu:-1", ""})
  void aDeviceThatThereIsOnNoMachineIsRefusedWhenTheJobIsBuilt(String device) {
    assertThatThrownBy(
            () -> Diffusion.textToImage().setModel("/models/sd").setDevice(device).apply(prompts()))
        .isInstanceOf(DiffusionException.class)
        .hasMessage(
            ("Invalid value %s for option diffusion.device: expected auto, cpu, or gpu:N with N"
                    + " from 0.")
                .formatted(device));
  }

  @Test
  void aDeviceThatThisMachineDoesNotHaveIsLeftToTheTaskManager() {
    assertThat(Diffusion.textToImage().setModel("/models/sd").setDevice("gpu:7").apply(prompts()))
        .isNotNull();
  }

  @Test
  void thePayloadStoreMayComeFromTheJobsConfigurationAndIsCheckedThere() {
    job.set(PayloadOptions.STORE, "s3://bucket/../payloads");
    assertThatThrownBy(
            () -> Diffusion.textToImage().setPipeline(new FakePipelines()).apply(prompts()))
        .hasMessageContaining(PayloadOptions.STORE.key());
  }

  @Test
  void aMethodWinsOverTheConfiguration() {
    job.set(DiffusionOptions.CAPACITY, 0);
    DiffusionStreams streams =
        Diffusion.textToImage()
            .setPipeline(new FakePipelines())
            .setCapacity(5)
            .setRequestTimeout(Duration.ofMinutes(1))
            .apply(prompts());

    assertThat(streams.failures().getType()).isEqualTo(DiffusionOperator.FAILURES.getTypeInfo());
    assertThat(streams.progress().getType()).isEqualTo(DiffusionOperator.PROGRESS.getTypeInfo());
  }

  @Test
  void aPipelineThatThereIsNotIsRefusedWithThoseThatThereAre() {
    job.set(DiffusionOptions.MODEL_FOLDER, "/models/sd");
    job.set(DiffusionOptions.MODEL_PIPELINE, "WanPipeline");
    assertThatThrownBy(() -> ModelSettings.of(job))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.model.pipeline")
        .hasMessageContaining("WanPipeline")
        .hasMessageContaining("DDPMPipeline");
  }

  @Test
  void everyOptionHasAMethod() {
    Configuration set =
        Diffusion.textToImage()
            .setModel("/models/sd")
            .setPrecision(Precision.FLOAT16)
            .setPipelineClass("DDPMPipeline")
            .setArchives("/archives")
            .setSafetyChecker(false)
            .setWatermark(true)
            .addLora("/loras/a=b.safetensors", 0.5)
            .addLora("/loras/c.safetensors", -1)
            .setConfigs("/configs")
            .setVariant("fp16")
            .setOption(DiffusionOptions.MODEL_PRECISIONS, List.of("text_encoder=BFLOAT16"))
            .setOption(DiffusionOptions.MODEL_DEVICES, List.of("text_encoder=cpu"))
            .setOption(DiffusionOptions.MODEL_UNLOAD_TEXT_ENCODERS, true)
            .addModel("other", "/models/other")
            .setModelsMemory(MemorySize.parse("3gb"))
            .setModelsTurn(Duration.ofSeconds(17))
            .setDevice("gpu:1")
            .setOption(DiffusionOptions.DEVICE_MEMORY, MemorySize.parse("1gb"))
            .setOption(DiffusionOptions.LORAS_ALLOWED, List.of("style=/loras/style.safetensors"))
            .setOption(DiffusionOptions.LORAS_RESIDENT, 9)
            .setOption(DiffusionOptions.MODEL_IP_ADAPTERS, List.of("/adapters/ip.safetensors"))
            .setOption(DiffusionOptions.MODEL_IMAGE_ENCODER, "/adapters/image_encoder")
            .setOption(DiffusionOptions.CACHE_INTERVAL, 3)
            .setOption(DiffusionOptions.CACHE_BRANCH, 1)
            .setOption(DiffusionOptions.CACHE_THRESHOLD, 0.25)
            .setOption(DiffusionOptions.CACHE_MEMORY, MemorySize.parse("2gb"))
            .setOption(DiffusionOptions.UNET_GUIDANCE, true)
            .setCapacity(5)
            .setBatchRows(6)
            .setBatchAging(Duration.ofSeconds(7))
            .setOutputOrder(OutputOrder.ORDERED)
            .setTenantsAttribute("customer")
            .setTenantsWeights(Map.of("acme", 3.0, "free", 0.5))
            .setTenantsMaxInFlight(15)
            .setRequestTimeout(Duration.ofSeconds(8))
            .setRequestRetries(3)
            .setRequestAttempts(4)
            .setRequestProcessDeaths(13)
            .setOutageRetryTime(Duration.ofSeconds(14))
            .setOutageAction(OutageAction.FAIL_REQUEST)
            .setDefaultSteps(9)
            .setDefaultGuidanceScale(1.5)
            .setDefaultScheduler("DDIMScheduler")
            .setDefaultSize(64, 32)
            .setOption(DiffusionOptions.DEVICE_WAIT, Duration.ofSeconds(13))
            .setOption(DiffusionOptions.DEVICE_KEEP_MODEL, Duration.ofSeconds(14))
            .setOption(DiffusionOptions.REQUEST_MAX_PIXELS, 100L)
            .setOption(DiffusionOptions.REQUEST_MAX_STEPS, 50)
            .setOption(DiffusionOptions.REQUEST_MAX_PROMPT_LENGTH, 70)
            .setOption(DiffusionOptions.REQUEST_MAX_ATTRIBUTES, 8)
            .setOption(DiffusionOptions.REQUEST_MAX_ATTRIBUTES_SIZE, MemorySize.parse("4kb"))
            .setProgressEverySteps(10)
            .setPreviewEverySteps(12)
            .setEncodingWorkers(11)
            .setEngine("onnxruntime")
            .setAuditInImages(false)
            .setOption(DiffusionOptions.AUDIT_ATTRIBUTES, List.of("consent", "order"))
            .setOption(DiffusionOptions.LABEL_TEXT, "AI generated")
            .setOption(DiffusionOptions.CREDENTIALS_KEY_FILE, "/secrets/key.p12")
            .setOption(DiffusionOptions.CREDENTIALS_KEY_ALIAS, "images")
            .setOption(DiffusionOptions.CREDENTIALS_PASSWORD_FILE, "/secrets/password")
            .setOption(DiffusionOptions.WATERMARK_KEY_FILE, "/secrets/watermark.key")
            .setOption(DiffusionOptions.SAFETY_BLOCKED_PHRASES_FILE, "/lists/blocked.txt")
            .setOption(DiffusionOptions.SAFETY_CONCEPTS_FILE, "/lists/concepts.txt")
            .setOption(DiffusionOptions.SAFETY_CLIP_FOLDER, "/models/clip")
            .setPayloadStore("s3://bucket/payloads")
            .setPayloadInlineLimit(MemorySize.ofMebiBytes(2))
            .settings();

    assertThat(DiffusionOptions.ALL).allMatch(set::contains);
    assertThat(ModelSettings.of(set))
        .isEqualTo(
            new ModelSettings(
                "/models/sd",
                "DDPMPipeline",
                "onnxruntime",
                Precision.FLOAT16,
                "/archives",
                false,
                true,
                List.of("/loras/a=b.safetensors=0.5", "/loras/c.safetensors=-1.0"),
                "/configs",
                "fp16",
                List.of("text_encoder=BFLOAT16"),
                List.of("text_encoder=cpu"),
                true,
                new Caching(3, 1, 2L << 30, 0.25),
                List.of("style=/loras/style.safetensors"),
                9,
                List.of("/adapters/ip.safetensors"),
                "/adapters/image_encoder",
                true));
    assertThat(DiffusionSettings.of(set))
        .isEqualTo(
            new DiffusionSettings(
                "gpu:1",
                Duration.ofSeconds(13),
                Duration.ofSeconds(14),
                1L << 30,
                new MemoryShare(3L << 30, Duration.ofSeconds(17)),
                5,
                6,
                Duration.ofSeconds(7),
                OutputOrder.ORDERED,
                Duration.ofSeconds(8),
                3,
                4,
                13,
                Duration.ofSeconds(14),
                OutageAction.FAIL_REQUEST,
                9,
                1.5,
                "DDIMScheduler",
                64,
                32,
                10,
                12,
                11,
                false,
                new AuditAttributes(List.of("consent", "order")),
                new LabelSettings("AI generated"),
                DiffusionSettings.of(set).credentials(),
                DiffusionSettings.of(set).watermark(),
                new RequestLimits(
                    100, 50, 70, 8, 4096, DiffusionSettings.of(set).limits().screen()),
                new PayloadSettings(
                    "s3://bucket/payloads",
                    MemorySize.ofMebiBytes(2),
                    List.of(),
                    PayloadOptions.MAX_SIZE.defaultValue()),
                ImageSettings.of(new Configuration()),
                new TenantSettings("customer", Map.of("acme", 3.0, "free", 0.5), 15),
                new LiveSettings(false, 0, null, 10, 600_000, 1000)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"acme:0", "acme:-1", "acme:NaN", "acme:much", "acme:Infinity"})
  void aWeightThatIsNoneIsRefusedWithItsTenant(String weights) {
    job.setString(DiffusionOptions.TENANTS_WEIGHTS.key(), weights);
    assertThatThrownBy(() -> DiffusionSettings.of(job))
        .isInstanceOf(DiffusionException.class)
        .hasMessageContaining("diffusion.tenants.weights")
        .hasMessageContaining("'acme'")
        .hasMessageContaining("a number from 0.000001");
  }

  @Test
  void aRequestWithoutTheAttributeIsOfTheTenantDefault() {
    job.setString(DiffusionOptions.TENANTS_WEIGHTS.key(), "acme:3,default:2");
    TenantSettings tenants = DiffusionSettings.of(job).tenants();
    assertThat(tenants.of(Map.of("tenant", "acme"))).isEqualTo(new Tenant("acme", 3));
    assertThat(tenants.of(Map.of("tenant", "other"))).isEqualTo(new Tenant("other", 1));
    assertThat(tenants.of(Map.of("tenant", " "))).isEqualTo(new Tenant("default", 2));
    assertThat(tenants.of(Map.of("customer", "acme"))).isEqualTo(new Tenant("default", 2));
  }

  @Test
  void factoriesOfOneFolderNameTheSameModelHoweverItsPathIsWritten() {
    assertThat(factory("/models/x/../sd").model()).isEqualTo(factory("/models/sd").model());
  }

  @Test
  void lorasMakeAnotherModelAndNeedAScale() {
    String plain = factory("/models/sd").model();
    assertThat(factory("/models/sd", "diffusion.model.loras", "/l=0.5").model())
        .isNotEqualTo(plain)
        .isNotEqualTo(factory("/models/sd", "diffusion.model.loras", "/l=0.6").model());
    assertThat(factory("/models/sd", "diffusion.model.configs", "/c").model()).isNotEqualTo(plain);
    assertThat(factory("/models/sd", "diffusion.model.variant", "fp16").model())
        .isNotEqualTo(plain);
    for (String wrong : new String[] {"/l", "/l=much", "=0.5", "/l=NaN"}) {
      assertThatThrownBy(() -> factory("/models/sd", "diffusion.model.loras", wrong))
          .isInstanceOf(DiffusionException.class)
          .hasMessageContainingAll("diffusion.model.loras", "'" + wrong + "'", "file=scale");
    }
  }

  private static ModelFolderPipelines factory(String folder, String key, String value) {
    return new ModelFolderPipelines(
        ModelSettings.of(
            Configuration.fromMap(Map.of("diffusion.model.folder", folder, key, value))));
  }

  private static ModelFolderPipelines factory(String folder) {
    return new ModelFolderPipelines(
        ModelSettings.of(Configuration.fromMap(Map.of("diffusion.model.folder", folder))));
  }
}
