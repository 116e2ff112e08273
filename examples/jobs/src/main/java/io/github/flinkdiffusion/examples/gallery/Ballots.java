/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.flinkdiffusion.connector.event.Payloads;
import io.github.flinkdiffusion.connector.event.VoteChoice;
import io.github.flinkdiffusion.connector.event.VoteCriterion;
import io.github.flinkdiffusion.connector.event.VoteEvent;
import io.github.flinkdiffusion.connector.event.VoteSubject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.stream.Collectors;

/**
 * Pairs of images to choose from. What they are stays here until the vote is in Kafka: the page
 * gets two images that were decoded and encoded anew, under names that say nothing, in an order
 * that is drawn. A ballot takes one vote.
 */
final class Ballots {
  /** Ballots that are open at once; the oldest are forgotten, with two images of 1 MiB at most. */
  private static final int MOST_OPEN = 64;

  private static final int SIDE = 512;

  /** Results that pairs are drawn from. */
  private static final int DRAWN_FROM = 1_000;

  private static final int TRIES = 8;
  private static final int MOST_ID = 64;
  private static final long LONGEST = 24L * 60 * 60 * 1000;

  /** How a result's image is read. */
  interface Source {
    byte[] file(Result result) throws Refusal;
  }

  private record Subject(VoteSubject said, byte[] png) {}

  private record Ballot(
      VoteCriterion criterion, String prompt, Subject first, Subject second, long begin) {}

  private final Wall wall;
  private final Source source;
  private final RealImages real;
  private final Pictures pictures;
  private final Events events;
  private final Random random = new SecureRandom();
  private final Recent<String, Ballot> open = new Recent<>(MOST_OPEN);

  Ballots(Wall wall, Source source, RealImages real, Pictures pictures, Events events) {
    this.wall = wall;
    this.source = source;
    this.real = real;
    this.pictures = pictures;
    this.events = events;
  }

  /**
   * Draws a pair.
   *
   * @throws Refusal 409 when there are no two images to compare
   */
  String draw(JsonNode asked) throws Refusal {
    VoteCriterion criterion = criterion(Json.text(asked, "criterion", MOST_ID));
    List<Result> results = wall.results(Long.MAX_VALUE, DRAWN_FROM);
    for (int i = 0; i < TRIES; i++) {
      Optional<Ballot> drawn = drawn(criterion, results);
      if (drawn.isPresent()) {
        String id = UUID.randomUUID().toString();
        synchronized (open) {
          open.put(id, drawn.get());
        }
        return Json.text(
            Json.object()
                .put("ballot", id)
                .put("criterion", criterion.toString())
                .put("prompt", drawn.get().prompt()));
      }
    }
    throw new Refusal(
        409,
        criterion == VoteCriterion.PROMPT
            ? "There is no pair yet: make at least two images of one prompt."
            : "There is no pair yet: make at least two images.");
  }

  private static VoteCriterion criterion(String text) throws Refusal {
    return Arrays.stream(VoteCriterion.values())
        .filter(each -> each != VoteCriterion.UNKNOWN && each.toString().equals(text))
        .findFirst()
        .orElseThrow(
            () ->
                Refusal.badRequest(
                    "'%s' is no criterion; REALISM, COHERENCE, PROMPT and APPEAL are.", text));
  }

  private Optional<Ballot> drawn(VoteCriterion criterion, List<Result> results) throws Refusal {
    if (results.isEmpty()) {
      return Optional.empty();
    }
    boolean byPrompt = criterion == VoteCriterion.PROMPT;
    Result one = byPrompt ? anyWithACompanion(results) : any(results);
    if (one == null) {
      return Optional.empty();
    }
    boolean againstReal = !byPrompt && !real.files().isEmpty() && random.nextBoolean();
    Subject generated;
    Subject other;
    String prompt = "";
    try {
      generated = generated(one);
      if (againstReal) {
        other = real(real.files().get(random.nextInt(real.files().size())));
      } else {
        List<Result> others = companions(one, results, byPrompt);
        if (others.isEmpty()) {
          return Optional.empty();
        }
        other = generated(any(others));
        prompt = byPrompt ? one.prompt() : "";
      }
    } catch (Refusal e) {
      return Optional.empty(); // such as an image that is gone or too large; another may do
    }
    boolean turned = random.nextBoolean();
    return Optional.of(
        new Ballot(
            criterion,
            prompt,
            turned ? other : generated,
            turned ? generated : other,
            System.nanoTime()));
  }

  private Result any(List<Result> results) {
    return results.get(random.nextInt(results.size()));
  }

  /** Without prompts that have one image alone. */
  private Result anyWithACompanion(List<Result> results) {
    Map<String, Long> digests =
        results.stream()
            .filter(result -> !result.prompt().isEmpty())
            .collect(
                Collectors.groupingBy(
                    Result::prompt,
                    Collectors.collectingAndThen(
                        Collectors.mapping(Result::digest, Collectors.toSet()),
                        all -> (long) all.size())));
    List<Result> possible =
        results.stream().filter(result -> digests.getOrDefault(result.prompt(), 0L) > 1).toList();
    return possible.isEmpty() ? null : any(possible);
  }

  /** Other images that came of the same task, of the same prompt where there are such. */
  private static List<Result> companions(Result one, List<Result> results, boolean byPrompt) {
    List<Result> samePrompt = new ArrayList<>();
    List<Result> sameTask = new ArrayList<>();
    for (Result each : results) {
      if (!each.digest().equals(one.digest()) && each.task().equals(one.task())) {
        sameTask.add(each);
        if (!one.prompt().isEmpty() && each.prompt().equals(one.prompt())) {
          samePrompt.add(each);
        }
      }
    }
    return byPrompt || !samePrompt.isEmpty() ? samePrompt : sameTask;
  }

  private Subject generated(Result result) throws Refusal {
    Place place = Place.parse(result.place());
    return new Subject(
        new VoteSubject(
            false,
            result.id(),
            result.digest(),
            result.model(),
            result.modelDigest(),
            place.partition(),
            place.offset()),
        pictures.shown(source.file(result), 0, SIDE));
  }

  private Subject real(Path file) throws Refusal {
    try {
      if (Files.size(file) > Events.MOST_UPLOAD) {
        throw new Refusal(413, "The real image " + file.getFileName() + " is too large.");
      }
      byte[] bytes = Files.readAllBytes(file);
      return new Subject(
          new VoteSubject(
              true, file.getFileName().toString(), Payloads.sha256(bytes), "", "", null, null),
          pictures.shown(bytes, 0, SIDE));
    } catch (IOException e) {
      throw Refusal.notFound("Cannot read the real image %s.", file.getFileName());
    }
  }

  /**
   * One of a ballot's images.
   *
   * @param side {@code first} or {@code second}
   */
  byte[] image(String ballot, String side) throws Refusal {
    Ballot found;
    synchronized (open) {
      found = open.get(ballot);
    }
    if (found == null || !side.equals("first") && !side.equals("second")) {
      throw Refusal.notFound("There is no such ballot, or no longer.");
    }
    return (side.equals("first") ? found.first() : found.second()).png();
  }

  /** Sends a vote, and only then says what the images were. */
  String vote(JsonNode asked) throws Refusal {
    String id = Json.text(asked, "ballot", MOST_ID);
    String choice = Json.text(asked, "choice", MOST_ID);
    if (!List.of("FIRST", "SECOND", "TIE").contains(choice)) {
      throw Refusal.badRequest("'%s' is no choice; FIRST, SECOND and TIE are.", choice);
    }
    String voter = Json.optionalText(asked, "voter", MOST_ID).orElse("");
    Ballot ballot;
    synchronized (open) {
      ballot = open.remove(id);
    }
    if (ballot == null) {
      throw new Refusal(409, "This ballot was used, or is too old; take the next one.");
    }
    try {
      events.vote(
          VoteEvent.newBuilder()
              .setId(id)
              .setCriterion(ballot.criterion())
              .setChoice(VoteChoice.valueOf(choice))
              .setFirst(ballot.first().said())
              .setSecond(ballot.second().said())
              .setPrompt(ballot.prompt())
              .setVoter(voter)
              .setMillis(Math.min(LONGEST, (System.nanoTime() - ballot.begin()) / 1_000_000))
              .build());
    } catch (Refusal e) {
      synchronized (open) {
        open.put(id, ballot);
      }
      throw e;
    }
    ObjectNode revealed = Json.object();
    revealed.set("first", revealed(ballot.first().said()));
    revealed.set("second", revealed(ballot.second().said()));
    return Json.text(revealed);
  }

  private static ObjectNode revealed(VoteSubject subject) {
    return Json.object()
        .put("real", subject.getReal())
        .put("id", subject.getId())
        .put("model", subject.getModel());
  }
}
