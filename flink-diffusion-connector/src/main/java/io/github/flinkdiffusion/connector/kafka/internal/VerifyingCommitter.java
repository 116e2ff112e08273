/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import io.github.flinkdiffusion.connector.kafka.KafkaOptions;
import io.github.flinkdiffusion.connector.kafka.LostTransactionException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.connector.sink2.Committer;
import org.apache.flink.connector.kafka.sink.KafkaCommittable;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Commits as Flink's committer does, but looks first whether there is something left to commit.
 *
 * <p>Where a commit is refused because the transaction is over, Flink's committer logs and goes on:
 * most often it has been committed before, by the attempt that failed. But the broker may also have
 * aborted it, when a checkpoint and its commit were further apart than the transaction's time-out,
 * and then its records are lost. The broker is asked which it was, <em>before</em> the commit is
 * tried: a refused commit gives the transactional id back to the writer, who may begin another
 * transaction under it and so wipe out the trace. It is asked again after a refusal, since a
 * transaction may come to its end in between.
 *
 * <p>The question costs one round trip to the transaction coordinator a checkpoint and subtask.
 */
final class VerifyingCommitter implements Committer<KafkaCommittable> {
  private static final Logger LOG = LoggerFactory.getLogger(VerifyingCommitter.class);

  private final String what;
  private final Committer<KafkaCommittable> committer;
  private final Transactions transactions;
  private final boolean tolerateLoss;

  /**
   * @param what the sink, for messages
   * @param tolerateLoss whether a lost transaction is only logged
   */
  VerifyingCommitter(
      String what,
      Committer<KafkaCommittable> committer,
      Transactions transactions,
      boolean tolerateLoss) {
    this.what = what;
    this.committer = committer;
    this.transactions = transactions;
    this.tolerateLoss = tolerateLoss;
  }

  @Override
  public void commit(Collection<CommitRequest<KafkaCommittable>> requests)
      throws IOException, InterruptedException {
    if (requests.isEmpty()) {
      return;
    }
    Map<String, TransactionDescription> now =
        transactions.describe(
            requests.stream().map(r -> r.getCommittable().getTransactionalId()).toList());
    abortAbandoned(requests, now);
    List<CommitRequest<KafkaCommittable>> toCommit = new ArrayList<>();
    List<KafkaCommittable> lost = new ArrayList<>();
    for (CommitRequest<KafkaCommittable> request : requests) {
      KafkaCommittable prepared = request.getCommittable();
      TransactionDescription description = now.get(prepared.getTransactionalId());
      if (!tolerateLoss && description != null && Fate.of(prepared, description) == Fate.ABORTED) {
        lost.add(prepared);
      } else {
        toCommit.add(new Verified(request));
      }
    }
    // First: the job is about to fail, and these would be aborted in their turn.
    committer.commit(toCommit);
    if (!lost.isEmpty()) {
      KafkaCommittable first = lost.get(0);
      lost(first, now.get(first.getTransactionalId()), null);
    }
  }

  /** Else readers would wait until the broker does it, which may take as long as 15 minutes. */
  private void abortAbandoned(
      Collection<CommitRequest<KafkaCommittable>> requests, Map<String, TransactionDescription> now)
      throws IOException, InterruptedException {
    List<String> abandoned = new ArrayList<>();
    for (CommitRequest<KafkaCommittable> request : requests) {
      KafkaCommittable prepared = request.getCommittable();
      TransactionDescription description = now.get(prepared.getTransactionalId());
      if (description != null && Fate.isAbandoned(prepared, description)) {
        abandoned.add(prepared.getTransactionalId());
      }
    }
    if (!abandoned.isEmpty()) {
      LOG.info("{}: aborting {}, which an earlier attempt left open.", what, abandoned);
      transactions.abort(abandoned);
    }
  }

  /** The commit was refused because the transaction is over. */
  private void refused(KafkaCommittable prepared, Throwable refusal) {
    String id = prepared.getTransactionalId();
    TransactionDescription description;
    try {
      description = transactions.describe(List.of(id)).get(id);
    } catch (IOException e) {
      throw new LostTransactionException(
          "%s cannot tell whether transaction %s was committed.".formatted(what, id), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LostTransactionException(
          "%s was interrupted while it asked whether transaction %s was committed."
              .formatted(what, id),
          e);
    }
    if (description == null || Fate.of(prepared, description) != Fate.COMMITTED) {
      lost(prepared, description, refusal);
    } else {
      LOG.info("{}: transaction {} had been committed before, nothing is lost.", what, id);
    }
  }

  private void lost(KafkaCommittable prepared, TransactionDescription now, Throwable cause) {
    String message =
        ("%s has lost the records of transaction %s (producer %d, epoch %d; now %s): a checkpoint"
                + " counts them as written, but the transaction was aborted before it was"
                + " committed. A broker does so after the transaction timeout%s, so the job was"
                + " down, or a checkpoint took, longer than that. Start the job from an older"
                + " checkpoint or savepoint to generate the records again, or set %s to true to"
                + " continue without them. Then raise %s.")
            .formatted(
                what,
                prepared.getTransactionalId(),
                prepared.getProducerId(),
                prepared.getEpoch(),
                now == null
                    ? "unknown to Kafka"
                    : "%s, producer %d, epoch %d"
                        .formatted(now.state(), now.producerId(), now.producerEpoch()),
                now == null ? "" : ", here %d ms".formatted(now.transactionTimeoutMs()),
                KafkaOptions.TOLERATE_LOST_TRANSACTIONS.key(),
                KafkaOptions.TRANSACTION_TIMEOUT.key());
    if (tolerateLoss) {
      LOG.error(message, cause);
    } else {
      throw new LostTransactionException(message, cause);
    }
  }

  @Override
  public void close() throws Exception {
    try (transactions) {
      committer.close();
    }
  }

  /** A request that is not taken for done before that was looked up. */
  private final class Verified implements CommitRequest<KafkaCommittable> {
    private final CommitRequest<KafkaCommittable> request;

    Verified(CommitRequest<KafkaCommittable> request) {
      this.request = request;
    }

    @Override
    public void signalFailedWithKnownReason(Throwable refusal) {
      refused(request.getCommittable(), refusal);
      request.signalFailedWithKnownReason(refusal);
    }

    @Override
    public KafkaCommittable getCommittable() {
      return request.getCommittable();
    }

    @Override
    public int getNumberOfRetries() {
      return request.getNumberOfRetries();
    }

    @Override
    public void signalFailedWithUnknownReason(Throwable error) {
      request.signalFailedWithUnknownReason(error);
    }

    @Override
    public void retryLater() {
      request.retryLater();
    }

    @Override
    public void updateAndRetryLater(KafkaCommittable committable) {
      request.updateAndRetryLater(committable);
    }

    @Override
    public void signalAlreadyCommitted() {
      request.signalAlreadyCommitted();
    }
  }
}
