/*
 * Copyright the Flink Diffusion authors
 * SPDX-License-Identifier: Apache-2.0
 */
package io.github.flinkdiffusion.connector.kafka.internal;

import java.io.IOException;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTransactionsResult;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** Asks a Kafka cluster about transactions. Used by one thread. */
final class Transactions implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(15);

  private final Properties client;
  private Admin admin;

  /**
   * @param client settings of a client of the same cluster
   */
  Transactions(Properties client) {
    this.client = client;
  }

  /**
   * How the last transaction under each id stands. Ids that Kafka does not know (any more), and
   * those about which it cannot be asked at the moment, are left out.
   *
   * @throws IOException when Kafka refuses to tell
   */
  Map<String, TransactionDescription> describe(Collection<String> ids)
      throws IOException, InterruptedException {
    DescribeTransactionsResult result = admin().describeTransactions(ids);
    Map<String, TransactionDescription> descriptions = new HashMap<>();
    for (String id : ids) {
      KafkaFuture<TransactionDescription> answer = result.description(id);
      try {
        descriptions.put(id, answer.get());
      } catch (ExecutionException e) {
        if (!(e.getCause() instanceof RetriableException)
            && !(e.getCause() instanceof TransactionalIdNotFoundException)) {
          throw new IOException(
              "Kafka does not report whether transaction "
                  + id
                  + " was aborted, so records could be lost without notice. Allow the job to"
                  + " describe its transactional ids: "
                  + e.getCause().getMessage(),
              e.getCause());
        }
      }
    }
    return descriptions;
  }

  /**
   * Aborts what is open under these ids and shuts out whoever began it.
   *
   * @throws IOException when Kafka refuses to
   */
  void abort(Collection<String> ids) throws IOException, InterruptedException {
    try {
      admin().fenceProducers(ids).all().get();
    } catch (ExecutionException e) {
      throw new IOException(
          "Kafka does not abort the transactions "
              + ids
              + ", which an earlier attempt of this job left open, so readers would wait until"
              + " they time out. Allow the job to write with its transactional ids: "
              + e.getCause().getMessage(),
          e.getCause());
    }
  }

  private Admin admin() {
    if (admin == null) {
      admin = Admin.create(AdminSettings.of(client, PATIENCE));
    }
    return admin;
  }

  @Override
  public void close() {
    if (admin != null) {
      admin.close(Duration.ZERO);
    }
  }
}
