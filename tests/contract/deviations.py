"""Where an endpoint does something else than AWS documents: (endpoint, test) -> what it does, and what is documented.

Each is a strict xfail. Ours has no entry without an issue that is about to be closed.
"""

DEVIATIONS = {
    ("ministack", "test_sequence_number_for_ordering"):
        "takes any text as SequenceNumberForOrdering; documented: InvalidArgumentException",
    ("ministack", "test_explicit_hash_key_beyond_128_bit"):
        "takes a hash key above 2^128 - 1; documented: InvalidArgumentException",
    ("ministack", "test_put_records_takes_500"):
        "takes more than 500 records, or none; documented: 1 to 500",
    ("ministack", "test_put_records_beyond_the_shard_fails_in_part"):
        "has no write limit; documented: 1,000 records/s a shard",
    ("ministack", "test_put_record_beyond_the_shard_is_refused"):
        "has no write limit; documented: 1 MB/s a shard",
    ("ministack", "test_iterator_arguments_are_checked"):
        "gives iterators without their arguments; documented: InvalidArgumentException",
    ("ministack", "test_iterator_of_nonsense_is_refused"):
        "does not name InvalidArgumentException for an iterator that it never gave",
    ("ministack", "test_get_records_limit"):
        "takes a Limit above 10,000; documented: refused",
    ("ministack", "test_five_reads_a_second"):
        "has no read limit; documented: 5 GetRecords/s a shard",
    ("ministack", "test_closed_shard_ends_with_its_children"):
        "does not end a closed shard; documented: null NextShardIterator and ChildShards",
    ("ministack", "test_larger_records_when_allowed"):
        "does not know MaxRecordSizeInKiB; documented: up to 10,240",
    ("ministack", "test_unknown_operation"):
        "answers an unknown target otherwise; documented: UnknownOperationException, 400",
    ("ministack", "test_new_stream_is_creating_then_active"):
        "streams are ACTIVE at once; documented: CREATING first",
    ("ministack", "test_bad_stream_name_is_refused"):
        "takes any name; documented: a pattern and 128 characters",
    ("ministack", "test_list_shards_pages"):
        "takes a token and a name at once; documented: one of them",
    ("ministack", "test_split_shard_makes_two_children"):
        "does not keep the parent as a closed shard; documented: it is listed until its records are gone",
    ("ministack", "test_split_shard_refuses_a_key_outside"):
        "splits at any key; documented: InvalidArgumentException",
    ("ministack", "test_merge_shards_names_both_parents"):
        "does not keep the parents as closed shards; documented: both are named and listed",
    ("ministack", "test_merge_refuses_shards_that_do_not_touch"):
        "merges shards that do not touch; documented: InvalidArgumentException",
    ("ministack", "test_update_shard_count_doubles_and_halves"):
        "does not keep closed shards; documented: they stay listed",
    ("ministack", "test_update_shard_count_beyond_double_is_refused"):
        "takes any target; documented: at most double, at least half",
    ("ministack", "test_list_shards_filters"):
        "does not filter shards as documented",
    ("ministack", "test_retention_goes_up_and_down"):
        "does not check the bounds; documented: 24 to 8,760 h",
    ("ministack", "test_on_demand_stream_has_four_shards"):
        "makes another number of shards; documented: 4 MB/s, four shards",
    ("ministack", "test_stream_mode_switch_keeps_shards"):
        "does not keep the shards or the mode on a switch",
    ("ministack", "test_on_demand_refuses_resharding"):
        "reshards on-demand streams; documented: refused",
    ("ministack", "test_tags_of_a_resource"):
        "has no TagResource for Kinesis",
    ("ministack", "test_enhanced_monitoring_is_remembered"):
        "forgets the shard-level metrics; documented: DescribeStreamSummary shows them",
    ("ministack", "test_consumers_register_and_go"):
        "consumers are ACTIVE at once; documented: CREATING first",
    ("ministack", "test_delete_with_consumers_is_refused"):
        "deletes the stream all the same; documented: ResourceInUseException",
    ("ministack", "test_limits_count_open_shards"):
        "has no DescribeLimits",
    ("ministack", "test_settings_out_of_range"):
        "takes any timeout and memory; documented: 1 to 900 s, 128 to 10,240 MB",
    ("ministack", "test_invoke_with_its_log"):
        "gives the function's lines alone; documented: START, END and REPORT too",
    ("ministack", "test_payload_limit"):
        "has no payload limit; documented: RequestTooLargeException, 413",
    ("ministack", "test_payload_that_is_no_json"):
        "takes any payload; documented: InvalidRequestContentException",
    ("ministack", "test_mapping_defaults"):
        "leaves settings out of its answer; documented: their defaults",
    ("ministack", "test_mapping_bounds"):
        "does not check the bounds; documented: ranges in the API reference",
    ("ministack", "test_window_gathers_records"):
        "ignores the batching window",
    ("ministack", "test_failed_batch_goes_to_the_queue"):
        "retries for ever; documented: the on-failure destination after the retries",
    ("ministack", "test_bisect_isolates_the_record"):
        "does not split batches",
    ("ministack", "test_partial_response_goes_on_from_the_failed_record"):
        "does not give up the failed record to the destination",
    ("ministack", "test_mapping_follows_a_split"):
        "reads nothing after a split; documented: parents, then children",
    ("ministack", "test_tumbling_window_is_said_or_kept"):
        "takes a tumbling window and forgets it",
    ("ministack", "test_bad_template_is_refused[empty]"):
        "takes a template without resources; documented: ValidationError",
    ("ministack", "test_missing_parameter_is_refused"):
        "words the error otherwise; documented: \"Parameters: [P] must have values\"",
    ("ministack", "test_failing_create_rolls_back"):
        "makes a mapping of a function that does not exist: CREATE_COMPLETE; documented: ROLLBACK_COMPLETE",
    ("ministack", "test_failing_create_without_rollback_stays"):
        "makes a mapping of a function that does not exist; documented: CREATE_FAILED",
    ("ministack", "test_update_changes_the_shards"):
        "says UPDATE_COMPLETE and changes nothing; documented: the shard count changes",
    ("ministack", "test_failing_update_rolls_back"):
        "makes a mapping of a function that does not exist; documented: UPDATE_ROLLBACK_COMPLETE",
    ("ministack", "test_change_set_says_what_it_replaces"):
        "says Conditional for every change; documented: True for Name, False for RetentionPeriodHours",
    ("ministack", "test_delete_that_fails"):
        "deletes a bucket with its objects; documented: DELETE_FAILED",
    ("ministack", "test_metric_math"):
        "gives nothing where only an expression returns data; documented: its values",
    ("ministack", "test_order_of_time"):
        "gives the oldest first; documented: newest first by default",
    ("ministack", "test_bad_metric_data"):
        "takes a value and a statistic set at once; documented: refused",
    ("ministack", "test_alarms_are_evaluated"):
        "does not evaluate composite alarms and missing data as documented",
    ("ministack", "test_dashboards"):
        "takes a body that is no JSON; documented: InvalidParameterInput",
    ("ministack", "test_metrics_of_a_stream"):
        "has no AWS/Kinesis metrics; documented: IncomingRecords by StreamName",
    ("moto", "test_sequence_numbers_rise"):
        "counts from 1 with a shard that starts at 1; documented: numbers beyond the shard's first",
    ("moto", "test_sequence_number_for_ordering"):
        "takes any text as SequenceNumberForOrdering; documented: InvalidArgumentException",
    ("moto", "test_explicit_hash_key_overrides"):
        "fails with 500 on hash key 0; documented: allowed",
    ("moto", "test_explicit_hash_key_beyond_128_bit"):
        "fails with 500; documented: InvalidArgumentException, 400",
    ("moto", "test_partition_key_length[empty]"):
        "takes an empty key; documented: 1 to 256 characters",
    ("moto", "test_record_of_one_mib_with_its_key"):
        "takes more than 1 MiB; documented: refused unless MaxRecordSizeInKiB allows it",
    ("moto", "test_put_records_takes_500"):
        "takes an empty list; documented: 1 to 500 records",
    ("moto", "test_put_records_beyond_the_shard_fails_in_part"):
        "has no write limit; documented: 1,000 records/s a shard",
    ("moto", "test_put_record_beyond_the_shard_is_refused"):
        "has no write limit; documented: 1 MB/s a shard",
    ("moto", "test_iterator_arguments_are_checked"):
        "fails with 500; documented: InvalidArgumentException, 400",
    ("moto", "test_iterator_of_nonsense_is_refused"):
        "fails with 500; documented: InvalidArgumentException, 400",
    ("moto", "test_get_records_limit"):
        "takes a Limit above 10,000; documented: refused",
    ("moto", "test_five_reads_a_second"):
        "has no read limit; documented: 5 GetRecords/s a shard",
    ("moto", "test_closed_shard_ends_with_its_children"):
        "does not end a closed shard; documented: null NextShardIterator and ChildShards",
    ("moto", "test_larger_records_when_allowed"):
        "does not know MaxRecordSizeInKiB; documented: up to 10,240",
    ("moto", "test_unknown_operation"):
        "fails with 500; documented: UnknownOperationException, 400",
    ("moto", "test_new_stream_is_creating_then_active"):
        "streams are ACTIVE at once; documented: CREATING first",
    ("moto", "test_bad_stream_name_is_refused"):
        "takes any name; documented: a pattern and 128 characters",
    ("moto", "test_list_streams_pages"):
        "fails with 500 on an ExclusiveStartStreamName that no stream has; documented: a place in the order",
    ("moto", "test_describe_stream_pages_shards"):
        "ignores ExclusiveStartShardId; documented: shards after it",
    ("moto", "test_list_shards_pages"):
        "takes a token and a name at once; documented: one of them",
    ("moto", "test_split_shard_makes_two_children"):
        "closes an empty shard with its first number; documented: a range",
    ("moto", "test_update_shard_count_beyond_double_is_refused"):
        "takes any target; documented: at most double, at least half",
    ("moto", "test_list_shards_filters"):
        "ignores the filter; documented: AT_LATEST gives open shards",
    ("moto", "test_tags_of_a_resource"):
        "fails with 500: no TagResource for Kinesis",
    ("moto", "test_consumers_register_and_go"):
        "consumer ARNs have no creation time; documented: .../consumer/name:timestamp",
    ("moto", "test_delete_with_consumers_is_refused"):
        "deletes the stream all the same; documented: ResourceInUseException",
    ("moto", "test_limits_count_open_shards"):
        "does not count the shards of new streams as open",
    ("ferrokinesis", "test_put_records_takes_ten_mib"):
        "names SerializationException for a body that is too large; documented: ValidationException or InvalidArgumentException",
    ("ferrokinesis", "test_millis_behind_latest"):
        "gives 0 with records left; documented: 0 when caught up alone",
    ("ferrokinesis", "test_five_reads_a_second"):
        "has no read limit; documented: 5 GetRecords/s a shard",
    ("ferrokinesis", "test_closed_shard_ends_with_its_children"):
        "names no ChildShards; documented: those of a closed shard at its end",
    ("ferrokinesis", "test_larger_records_when_allowed"):
        "does not know MaxRecordSizeInKiB; documented: up to 10,240",
    ("ferrokinesis", "test_stream_by_arn"):
        "wants a name beside the ARN; documented: either",
    ("ferrokinesis", "test_list_streams_pages"):
        "gives no StreamSummaries; documented: beside the names",
    ("ferrokinesis", "test_describe_stream_pages_shards"):
        "ignores Limit; documented: shards a page",
    ("ferrokinesis", "test_list_shards_pages"):
        "looks for a stream without a name instead of refusing token and name; documented: one of them",
    ("ferrokinesis", "test_update_shard_count_beyond_double_is_refused"):
        "takes any target; documented: at most double, at least half",
    ("ferrokinesis", "test_list_shards_filters"):
        "ignores the filter; documented: AT_LATEST gives open shards",
    ("ferrokinesis", "test_on_demand_stream_has_four_shards"):
        "wants a ShardCount for on-demand streams; documented: none is needed",
    ("ferrokinesis", "test_on_demand_refuses_resharding"):
        "wants a ShardCount for on-demand streams; documented: none is needed",
    ("ferrokinesis", "test_delete_with_consumers_is_refused"):
        "deletes the stream all the same; documented: ResourceInUseException",
}
