/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.RawValue;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.github.flinkdiffusion.connector.event.ImageEvent;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.ops.image.ContactSheet;
import io.github.flinkdiffusion.ops.image.Images;
import java.io.IOException;
import java.io.InputStream;
import java.net.BindException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Serves the page and what it asks for, on the loopback interface. The JDK's own server does it: a
 * page for one person on one machine needs no more, and a job's class path gets no second Jackson,
 * Kotlin or servlet API.
 */
final class GalleryServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(GalleryServer.class);

  private static final int THREADS = 40;
  private static final int QUEUE = 400;
  private static final int BACKLOG = 64;
  private static final int FIRST_RESULTS = 120;
  private static final int MOST_RESULTS = 500;
  private static final int VIEW_SIDE = 1_024;
  private static final int SHEET_MOST = 48;
  private static final int SHEET_SIDE = 160;
  private static final int SHEET_COLUMNS = 6;
  private static final int MOST_ID = 512;

  /** Images that are sent as they are: their kind is recognized, and they are not large. */
  private static final long MOST_PLAIN_PIXELS = 1_024L * 1_024;

  /** All there is; so no path leads anywhere else. */
  private static final Map<String, String> PAGES =
      Map.ofEntries(
          Map.entry("/", "index.html"),
          Map.entry("/style.css", "style.css"),
          Map.entry("/icon.svg", "icon.svg"),
          Map.entry("/app.js", "app.js"),
          Map.entry("/server.js", "server.js"),
          Map.entry("/dom.js", "dom.js"),
          Map.entry("/compose.js", "compose.js"),
          Map.entry("/wall.js", "wall.js"),
          Map.entry("/detail.js", "detail.js"),
          Map.entry("/compare.js", "compare.js"),
          Map.entry("/letters.js", "letters.js"));

  private static final Map<String, String> TYPES =
      Map.of(
          "html", "text/html; charset=utf-8",
          "css", "text/css; charset=utf-8",
          "js", "text/javascript; charset=utf-8",
          "svg", "image/svg+xml");

  static {
    // Read once, when the JDK's server is first used: a request that trickles in is given up.
    System.getProperties().putIfAbsent("sun.net.httpserver.maxReqTime", "60");
    System.getProperties().putIfAbsent("sun.net.httpserver.nodelay", "true");
    System.getProperties().putIfAbsent("jdk.httpserver.maxConnections", "200");
  }

  /** What it serves. */
  record Parts(
      GalleryTopics topics,
      Set<String> present,
      Gallery.Hints hints,
      Wall wall,
      ResultFiles files,
      Pictures pictures,
      Events events,
      Ballots ballots,
      Gallery.Resender resender,
      Optional<Replays> replays) {}

  private final Parts parts;
  private final Guard guard = new Guard();
  private final EventStream stream;
  private final String run = UUID.randomUUID().toString().replace("-", "");
  private final HttpServer server;
  private final ThreadPoolExecutor threads;

  GalleryServer(Parts parts, int port) throws IOException {
    this.parts = parts;
    this.stream = new EventStream(parts.wall().changes());
    try {
      server =
          HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), BACKLOG);
    } catch (BindException e) {
      throw new IOException(
          "Port %d is taken; --port takes another one, or 0 for any.".formatted(port), e);
    }
    threads =
        new ThreadPoolExecutor(
            THREADS,
            THREADS,
            30,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(QUEUE),
            work -> {
              Thread thread = new Thread(work, "gallery-http");
              thread.setDaemon(true);
              return thread;
            });
    threads.allowCoreThreadTimeOut(true);
    server.setExecutor(threads);
    server.createContext("/", this::handle);
  }

  void start() {
    server.start();
  }

  URI address() {
    return URI.create("http://localhost:" + server.getAddress().getPort() + "/");
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      Call call = null;
      try {
        call = new Call(exchange);
        guard.check(exchange);
        route(call);
      } catch (Refusal e) {
        if (call == null) {
          exchange.sendResponseHeaders(e.status(), -1);
        } else {
          call.refuse(e);
        }
      } catch (RuntimeException e) {
        LOG.error("{} {}", exchange.getRequestMethod(), exchange.getRequestURI(), e);
        if (call != null && exchange.getResponseCode() == -1) {
          call.refuse(new Refusal(500, "The gallery failed; its log says why."));
        }
      }
    }
  }

  private void route(Call call) throws Refusal, IOException {
    String page = PAGES.get(call.path());
    if (page != null && call.method().equals("GET")) {
      page(call, page);
      return;
    }
    String[] path = call.path().split("/");
    if (path.length < 3 || !path[1].equals("api")) {
      throw Refusal.notFound("There is no such page.");
    }
    switch (call.method() + " " + path[2] + " " + (path.length - 3)) {
      case "GET config 0" -> call.answer(200, config());
      case "GET wall 0" -> call.answer(200, wall());
      case "GET events 0" -> stream.serve(call, run);
      case "GET results 0" -> call.answer(200, results(call));
      case "GET results 1" -> call.answer(200, detail(Place.parse(path[3])));
      case "GET results 2" -> part(call, Place.parse(path[3]), path[4]);
      case "GET preview 0" -> preview(call);
      case "GET contact-sheet.png 0" -> sheet(call);
      case "GET ballots 2" -> {
        byte[] png = parts.ballots().image(path[3], path[4]);
        call.send(200, "image/png", png);
      }
      case "POST prompts 0" -> {
        need(parts.topics().prompts());
        JsonNode asked = call.json();
        ObjectNode answer = Json.object();
        answer.set("ids", Json.MAPPER.valueToTree(parts.events().prompts(asked)));
        call.answer(202, Json.text(answer));
      }
      case "POST images 1" -> image(call, path[3]);
      case "POST cancellations 0" -> cancel(call);
      case "POST resends 0" -> resend(call);
      case "POST replays 0" -> replay(call);
      case "POST ballots 0" -> call.answer(201, parts.ballots().draw(call.json()));
      case "POST votes 0" -> call.answer(201, parts.ballots().vote(call.json()));
      default -> throw Refusal.notFound("There is no such address for %s.", call.method());
    }
  }

  private void need(String topic) throws Refusal {
    if (!parts.present().contains(topic)) {
      throw Refusal.notFound("Kafka has no topic %s.", topic);
    }
  }

  private void page(Call call, String name) throws IOException {
    byte[] bytes;
    try (InputStream in = GalleryServer.class.getResourceAsStream("page/" + name)) {
      bytes = in.readAllBytes();
    }
    if (name.equals("index.html")) {
      bytes = new String(bytes, UTF_8).replace("{{token}}", guard.token()).getBytes(UTF_8);
    }
    call.send(200, TYPES.get(name.substring(name.lastIndexOf('.') + 1)), bytes);
  }

  private String config() {
    ObjectNode config = Json.object();
    config.put("prompts", parts.present().contains(parts.topics().prompts()));
    config.put("cancel", parts.present().contains(parts.topics().cancellations()));
    config.put(
        "resend", parts.resender() != null && parts.present().contains(parts.topics().failures()));
    config.put("replay", parts.replays().isPresent());
    config.put("mostUpload", Events.MOST_UPLOAD);
    config.put("form", parts.hints().form());
    config.set("suggestions", Json.MAPPER.valueToTree(parts.hints().suggestions()));
    config.set("words", Json.MAPPER.valueToTree(parts.hints().words()));
    var tasks = config.putArray("tasks");
    for (GalleryTopics.Task task : parts.topics().tasks()) {
      tasks.addObject().put("name", task.name()).put("label", task.label());
    }
    return Json.text(config);
  }

  private String wall() {
    String snapshot = parts.wall().snapshot(FIRST_RESULTS);
    return "{\"run\":\"" + run + "\"," + snapshot.substring(1);
  }

  private String results(Call call) throws Refusal {
    JsonNode asked = call.queryAsObject();
    Long before = Json.number(asked, "before", 1, Long.MAX_VALUE);
    Long most = Json.number(asked, "most", 1, MOST_RESULTS);
    return Json.text(
        parts
            .wall()
            .results(
                before == null ? Long.MAX_VALUE : before,
                most == null ? FIRST_RESULTS : most.intValue()));
  }

  private String detail(Place place) throws Refusal {
    ImageEvent event = parts.files().event(place);
    ObjectNode detail = Json.object();
    detail.put("place", place.toString());
    detail.put("topic", parts.topics().images());
    detail.put("partition", place.partition());
    detail.put("offset", place.offset());
    detail.put("id", event.getId());
    detail.put("prompt", event.getPrompt());
    detail.put("negativePrompt", event.getNegativePrompt());
    detail.put("truncated", event.getPromptTruncated());
    detail.put("width", event.getWidth());
    detail.put("height", event.getHeight());
    detail.put("digest", event.getDigest());
    detail.put("mediaType", event.getMediaType());
    detail.put("guidanceScale", event.getGuidanceScale());
    detail.set("attributes", Json.MAPPER.valueToTree(event.getAttributes()));
    detail.put("source", parts.files().hasSource(event));
    detail.put("mask", event.getMask() != null);
    detail.put("uncertainty", event.getUncertainty() != null);
    if (event.getAudit() != null) {
      var audit = event.getAudit();
      ObjectNode record = detail.putObject("audit");
      record.put("task", audit.getTask());
      record.put("model", audit.getModel());
      record.put("modelDigest", audit.getModelDigest());
      record.put("scheduler", audit.getScheduler());
      record.put("steps", audit.getSteps());
      record.put("seed", audit.getSeed());
      record.set("parameters", Json.MAPPER.valueToTree(audit.getParameters()));
      record.set("inputDigests", Json.MAPPER.valueToTree(audit.getInputDigests()));
      record.put("softwareVersion", audit.getSoftwareVersion());
    }
    if (event.getRegions() != null) {
      var regions = detail.putArray("regions");
      event.getRegions().getItems().stream()
          .limit(MOST_RESULTS)
          .forEach(
              region ->
                  regions
                      .addObject()
                      .put("label", region.getLabel())
                      .put("score", region.getScore())
                      .put("areaPixels", region.getAreaPixels())
                      .put("area", region.getArea())
                      .put("areaUnit", region.getAreaUnit()));
    }
    parts
        .wall()
        .replayOf(place)
        .ifPresent(state -> detail.putRawValue("replay", new RawValue(state)));
    return Json.text(detail);
  }

  private void part(Call call, Place place, String part) throws Refusal, IOException {
    ImageEvent event = parts.files().event(place);
    switch (part) {
      case "image" -> {
        byte[] file = parts.files().read(Payloads.image(event));
        String kind = Images.mediaType(file).orElse("");
        boolean plain =
            (kind.equals("image/png") || kind.equals("image/jpeg"))
                && (long) event.getWidth() * event.getHeight() <= MOST_PLAIN_PIXELS;
        call.answerLasting(
            plain ? kind : "image/png", plain ? file : parts.pictures().shown(file, 0, VIEW_SIDE));
      }
      case "source" -> {
        ResultFiles.SourceImage source = parts.files().source(event);
        call.answerLasting(
            "image/png", parts.pictures().shown(source.file(), source.page(), VIEW_SIDE));
      }
      case "mask" ->
          call.answerLasting(
              "image/png", parts.pictures().mask(parts.files().read(event.getMask()), VIEW_SIDE));
      case "uncertainty" ->
          call.answerLasting(
              "image/png",
              parts.pictures().uncertainty(parts.files().read(event.getUncertainty()), VIEW_SIDE));
      case "file" ->
          call.answerFile(
              "result-" + place + ending(event.getMediaType()),
              parts.files().read(Payloads.image(event)));
      default ->
          throw Refusal.notFound(
              "A result has the parts image, source, mask, uncertainty and file.");
    }
  }

  private static String ending(String mediaType) {
    return switch (mediaType) {
      case "image/png" -> ".png";
      case "image/jpeg" -> ".jpg";
      case "image/tiff" -> ".tif";
      case "application/dicom" -> ".dcm";
      case "application/x-nifti" -> ".nii";
      default -> ".bin";
    };
  }

  private void preview(Call call) throws Refusal, IOException {
    byte[] preview =
        parts
            .wall()
            .preview(call.query("id", ""))
            .orElseThrow(() -> Refusal.notFound("There is no preview, or no longer."));
    if (!Images.mediaType(preview).orElse("").equals("image/png")) {
      throw new Refusal(422, "The preview is no PNG file.");
    }
    call.send(200, "image/png", preview);
  }

  private void sheet(Call call) throws Refusal, IOException {
    List<Result> chosen = new ArrayList<>();
    for (String text : call.query("places", "").split(",")) {
      chosen.add(
          parts
              .wall()
              .result(Place.parse(text))
              .orElseThrow(() -> Refusal.notFound("There is no result %s.", text)));
      if (chosen.size() > SHEET_MOST) {
        throw Refusal.badRequest("A sheet has at most %d images.", SHEET_MOST);
      }
    }
    ContactSheet sheet =
        ContactSheet.columns(Math.min(SHEET_COLUMNS, chosen.size()))
            .pictureSize(SHEET_SIDE)
            .title(parts.topics().images());
    for (Result result : chosen) {
      sheet.add(
          parts.pictures().raster(parts.files().result(result), 0, SHEET_SIDE),
          result.prompt().isEmpty() ? result.task() : result.prompt(),
          result.model());
    }
    call.exchange()
        .getResponseHeaders()
        .set("Content-Disposition", "attachment; filename=\"contact-sheet.png\"");
    call.send(200, "image/png", sheet.toPng());
  }

  private void image(Call call, String taskName) throws Refusal, IOException {
    GalleryTopics.Task task =
        parts.topics().tasks().stream()
            .filter(each -> each.name().equals(taskName))
            .findFirst()
            .orElseThrow(() -> Refusal.notFound("There is no image task of that name."));
    byte[] file = call.body(Events.MOST_UPLOAD);
    String id = parts.events().image(task, file, call.queryAsObject());
    call.answer(202, Json.text(Json.object().put("id", id)));
  }

  private void cancel(Call call) throws Refusal, IOException {
    need(parts.topics().cancellations());
    String id = Json.text(call.json(), "id", MOST_ID);
    if (!parts.wall().waits(id)) {
      throw new Refusal(409, "This request has its answer already.");
    }
    parts.events().cancel(id);
    parts.wall().cancelling(id);
    call.answer(202, "{}");
  }

  private void resend(Call call) throws Refusal, IOException {
    Place place = Place.parse(Json.text(call.json(), "place", MOST_ID));
    if (parts.resender() == null || parts.wall().deadLetter(place).isEmpty()) {
      throw Refusal.notFound("There is no dead letter %s.", place);
    }
    try {
      Gallery.Resent resent = parts.resender().resend(place.partition(), place.offset());
      if (!resent.sent()) {
        throw new Refusal(409, resent.text());
      }
      parts.wall().resent(place);
      call.answer(202, Json.text(Json.object().put("text", resent.text())));
    } catch (Refusal | IOException e) {
      throw e;
    } catch (Exception e) {
      LOG.warn("Resend of {}", place, e);
      throw new Refusal(502, "It was not sent again: " + e.getMessage());
    }
  }

  private void replay(Call call) throws Refusal, IOException {
    Place place = Place.parse(Json.text(call.json(), "place", MOST_ID));
    Replays replays =
        parts
            .replays()
            .orElseThrow(() -> Refusal.notFound("Results cannot be made again from here."));
    replays.start(place);
    call.answer(202, "{}");
  }

  @Override
  public void close() {
    stream.close();
    server.stop(0);
    threads.shutdownNow();
  }
}
