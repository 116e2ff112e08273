/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.examples.gallery;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes results again, one after the other, and tells the wall. */
final class Replays implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Replays.class);
  private static final int MOST_WAITING = 4;

  /** What is needed to make a result again. */
  interface Inputs {
    byte[] event(Place place) throws Refusal;

    /** The image that it was made from; null when it was made from text. */
    byte[] image(Place place) throws Refusal;
  }

  private final Gallery.Replayer replayer;
  private final Wall wall;
  private final Inputs inputs;
  private final ThreadPoolExecutor thread =
      new ThreadPoolExecutor(
          1, 1, 0, TimeUnit.SECONDS, new ArrayBlockingQueue<>(MOST_WAITING), this::thread);

  Replays(Gallery.Replayer replayer, Wall wall, Inputs inputs) {
    this.replayer = replayer;
    this.wall = wall;
    this.inputs = inputs;
  }

  private Thread thread(Runnable work) {
    Thread started = new Thread(work, "gallery-replay");
    started.setDaemon(true);
    return started;
  }

  void start(Place place) throws Refusal {
    byte[] event = inputs.event(place);
    byte[] image = inputs.image(place);
    try {
      wall.replay(new ReplayState(place.toString(), "waiting", "", ""));
      thread.execute(() -> run(place, event, image));
    } catch (RejectedExecutionException e) {
      Refusal refusal =
          new Refusal(429, "%d replays wait already; try again later.".formatted(MOST_WAITING));
      wall.replay(new ReplayState(place.toString(), "failed", "", refusal.getMessage()));
      throw refusal;
    }
  }

  private void run(Place place, byte[] event, byte[] image) {
    String at = place.toString();
    wall.replay(new ReplayState(at, "running", "", ""));
    try {
      Gallery.Replayed replayed = replayer.replay(at, event, image);
      wall.replay(new ReplayState(at, "done", replayed.verdict(), replayed.text()));
    } catch (Exception e) {
      LOG.warn("Replay of {}", at, e);
      wall.replay(
          new ReplayState(
              at, "failed", "", e.getMessage() == null ? e.toString() : e.getMessage()));
    }
  }

  @Override
  public void close() {
    thread.shutdownNow();
  }
}
